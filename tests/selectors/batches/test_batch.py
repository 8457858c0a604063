"""The batch folder: whole or not there, the same bytes for the same selection, and read back as it was."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Cap, Diversity, Score, Selection, SelectionSpec
from fleetsift.selectors.batches.batch import read_batch, write_batch
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.select import select
from tests.selectors.drawn_pools import large_pool, pools, round_robins, specs

SNAPSHOT = {"frames@id-1": {"0": 25, "1": 20}}
SPEC = SelectionSpec(budget=9, objectives=(Score(expression="first"), Diversity()), constraints=(Cap(most=2),))
NAMES = ["batch.csv", "batch.json", "batch.parquet"]


@pytest.fixture(scope="module")
def selection() -> Selection:
    return select(large_pool(500), SPEC)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@given(pool=pools(), spec=st.one_of(specs(), round_robins()))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, pool: Pool, spec: SelectionSpec) -> None:
    folder = tmp_path_factory.mktemp("batch")
    selection = select(pool, spec)
    write_batch(folder, selection, SNAPSHOT)
    assert read_batch(folder) == selection
    first = contents(folder)
    assert list(first) == sorted([*NAMES, *["earlier.parquet"] * bool(pool.rounds)])
    write_batch(folder, select(pool, spec), SNAPSHOT)
    assert contents(folder) == first


def test_parquet_and_csv_hold_the_same_rows(tmp_path: Path, selection: Selection) -> None:
    write_batch(tmp_path, selection, SNAPSHOT)
    rows = pq.read_table(tmp_path / "batch.parquet").to_pylist()
    with (tmp_path / "batch.csv").open(newline="", encoding="utf-8") as file:
        texts = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [list(text) for text in texts]
    assert list(rows[0]) == [
        *("rank", "frame_id", "session_id", "uri", "value", "factor first", "factor diversity", "nearest", "distance"),
        *("turn", "key session_id", "room_left session_id"),
    ]
    for row, text in zip(rows, texts, strict=True):
        for name, value in row.items():
            assert text[name] == "" if value is None else type(value)(text[name]) == value


def test_the_manifest_says_what_the_batch_rests_on(tmp_path: Path, selection: Selection) -> None:
    write_batch(tmp_path, selection, SNAPSHOT)
    manifest = json.loads((tmp_path / "batch.json").read_text())
    assert manifest["ensemble_id"] == "large"
    assert manifest["snapshot"] == SNAPSHOT
    assert (manifest["pool_size"], manifest["picked"], manifest["shortfall"]) == (500, 9, 0)
    assert manifest["spec"]["constraints"] == [{"kind": "cap", "key": "session_id", "most": 2}]
    assert set(manifest["sha256"]) == {"batch.parquet", "batch.csv"}


def test_a_batch_is_a_list_of_labelled_frames(tmp_path: Path, selection: Selection) -> None:
    write_batch(tmp_path, selection, SNAPSHOT)
    picked = {pick.frame_id for pick in selection.picks}
    assert read_labelled([tmp_path / "batch.csv"]) == read_labelled([tmp_path / "batch.parquet"]) == picked


def test_another_batch_is_replaced_only_when_asked(tmp_path: Path, selection: Selection) -> None:
    other = select(large_pool(100), SPEC)
    write_batch(tmp_path, selection, SNAPSHOT)
    (tmp_path / "report.html").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(SelectionError, match="expected no other batch there, found one"):
        write_batch(tmp_path, other, SNAPSHOT)
    assert contents(tmp_path) == before
    write_batch(tmp_path, other, SNAPSHOT, overwrite=True)
    assert read_batch(tmp_path) == other
    assert (tmp_path / "report.html").read_text() == "mine"


def test_a_torn_or_absent_batch_is_noticed(tmp_path: Path, selection: Selection) -> None:
    with pytest.raises(SelectionError, match=r"expected a batch, .*No such file"):
        read_batch(tmp_path)
    write_batch(tmp_path, selection, SNAPSHOT)
    rows = tmp_path / "batch.parquet"
    rows.write_bytes(rows.read_bytes() + b"x")
    with pytest.raises(SelectionError, match=r"batch\.parquet: expected the bytes that batch\.json names"):
        read_batch(tmp_path)
    (tmp_path / "batch.json").write_text("{}")
    with pytest.raises(SelectionError, match=r"expected a batch, .*missing required field"):
        read_batch(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, selection: Selection) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SelectionError, match="file: cannot be written, File exists"):
        write_batch(tmp_path / "file", selection, SNAPSHOT)


@pytest.mark.slow
def test_a_selector_that_is_killed_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """Fault 37: kill -9 at random steps of the writing, forty seeds."""
    command = [sys.executable, "-m", "tests.selectors.batches.killed", str(tmp_path), "40"]
    root = Path(__file__).parents[3]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=1000, check=False)
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) >= 20
