"""docs/selection.md is true: its YAML selects, its Python says the same, and its figures are those of today."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.optimum import optimum_table
from fleetsift.schemas.reading import parse_yaml
from fleetsift.schemas.selection import Selection, SelectionSpec, resolve_files
from fleetsift.selectors.batches.batch import read_batch, write_batch
from fleetsift.selectors.select import select_batch
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "selection.md").read_text(encoding="utf-8")
YAML = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
START = datetime(2026, 1, 2, tzinfo=UTC)
STORE = FramesInDuckDB(
    [
        frame(
            f"f-{i:02}",
            session=f"s-{i // 10}",
            camera="rear" if i % 5 == 0 else "front",
            captured_at=START + timedelta(seconds=i),
            score=(i * 7 % 10 + 1) / 10,
            embedding=[float(i * 7 % 13), float(i * 11 % 9)],
        )
        for i in range(60)
    ]
)


def follow(text: str, folder: Path) -> Selection:
    """What a YAML example selects."""
    return select_batch(STORE, resolve_files(parse_yaml(text, SelectionSpec, "docs"), folder))


def test_the_examples_select_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "labelled.txt").write_text("f-01\nf-02\n")
    (tmp_path / "wanted.txt").write_text("f-20\n")
    first, wanted, named, round_two = YAML
    balanced = follow(first, tmp_path)
    assert len(balanced.picks) == 12
    assert balanced.owed == {}
    cameras = Counter(pick.keys["camera"] for pick in follow(wanted, tmp_path).picks)
    assert cameras == {"front": 4 - 2, "rear": 3}  # two labelled frames count in the cap
    coral = follow(named, tmp_path)
    assert len(coral.picks) == 10
    write_batch(tmp_path / "batch", coral, {})
    second = follow(round_two, tmp_path)
    assert second.earlier == tuple(pick.frame_id for pick in read_batch(tmp_path / "batch").picks)
    assert len({*second.earlier, *(pick.frame_id for pick in second.picks)}) == 16


def test_python_says_the_same_as_yaml() -> None:
    names: dict[str, object] = {}
    exec(PYTHON[0], names)
    assert names["spec"] == parse_yaml(YAML[0], SelectionSpec, "docs")


@pytest.mark.slow
def test_the_table_of_the_optimum_is_what_comes_out() -> None:
    assert optimum_table() in PAGE
