"""Servers of other people that tests run against: fetched or built once, and kept from session to session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

PATIENCE_S = 900  # building a server takes two minutes on two quiet cores


class NotHere(Exception):
    """Why something cannot be had on this machine."""


def fetch_once(name: str, tools: tuple[str, ...], command: list[str], environment: Mapping[str, str]) -> Path:
    """The folder that a command has filled, once; `{folder}` in its words or its environment stands for the folder.

    Raises NotHere with the reason.
    """
    for tool in tools:
        if shutil.which(tool) is None:
            raise NotHere(f"{tool} is not installed")
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetsift-tests" / name
    if not kept.is_dir():
        try:
            _fill(kept, command, environment)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotHere(str(error)) from error
    return kept


def _fill(kept: Path, command: list[str], environment: Mapping[str, str]) -> None:
    """Run the command on a folder beside, which takes its place whole."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as beside:
        folder = f"{beside}/{kept.name}"
        done = subprocess.run(
            [word.format(folder=folder) for word in command],
            env=os.environ | {key: value.format(folder=folder) for key, value in environment.items()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise NotHere((done.stderr + done.stdout).strip().splitlines()[-1])
        if not kept.is_dir():  # another session was as quick
            Path(folder).rename(kept)
