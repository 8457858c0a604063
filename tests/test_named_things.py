"""Every page for people names things that are there: verbs and their options, files, modules, targets of make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from fleetsift.cli import app
from tests.test_links import HOUSE, PAGES

ROOMS = "fleetsift|tests|benchmarks|deploy|docs"
MADE = ("demo-output/", "fleet/", "scores/", "batch/", "deploy/secrets/")  # by who follows the page
TARGETS = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
FOLDERS = {
    path.name for room in ROOMS.split("|") for path in (HOUSE / room, *(HOUSE / room).rglob("*")) if path.is_dir()
}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))


def options() -> dict[str, set[str]]:
    """What each verb of the command line takes."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        name: {"--help"} | {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()
    }


def code(page: Path) -> list[str]:
    """What stands in backticks, and the lines of blocks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = "\n".join([*fenced, *re.findall(r"^    \S.*$", rest, re.MULTILINE)])
    return re.findall(r"`([^`]+)`", rest) + blocks.splitlines()


@every_page
def test_verbs_and_their_options(page: Path) -> None:
    known = options()
    for line in code(page):
        for verb, words in re.findall(r"(?:^|[&|>(] ?|-- )fleetsift ([a-z-]+)([^&#]*)", line.strip()):
            assert verb in known, line
            assert set(re.findall(r"(--[a-z][a-z-]*)", words)) <= known[verb], line


@every_page
def test_files_folders_modules_and_targets(page: Path) -> None:
    for line in (line for line in code(page) if not line.startswith(MADE)):
        if re.fullmatch(rf"(?:{ROOMS})/[\w./*-]+", line):
            assert any(HOUSE.glob(line.rstrip("/"))), line
        elif re.fullmatch(r"[a-z_]+/", line):
            assert line[:-1] in FOLDERS, line
        for module in re.findall(rf"python -m ((?:{ROOMS})[\w.]*)", line):
            file = HOUSE / module.replace(".", "/")
            assert file.with_suffix(".py").is_file() or (file / "__main__.py").is_file(), line
        for target in re.findall(r"^make ([a-z-]+)", line.strip()):
            assert target in TARGETS, line
