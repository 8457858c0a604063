"""Every piece of YAML on the page about sources can be meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.reading import parse_yaml

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources.md"
PIECES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
REST = {"frames": {"roots": ["."]}, "ensemble": "e.yaml", "store": {"path": "scores"}}


def test_the_page_has_examples() -> None:
    assert len(PIECES) == 5


@pytest.mark.parametrize("piece", PIECES)
def test_an_example_can_be_meant(piece: str) -> None:
    sections = yaml.safe_load(piece)
    source = {} if {"kafka", "manifest"} & sections.keys() else {"manifest": {"path": "frames.jsonl"}}
    spec = parse_yaml(yaml.safe_dump(REST | source | sections), FleetSpec, "fleet.yaml")
    assert (spec.manifest is None) == ("kafka" in sections)
