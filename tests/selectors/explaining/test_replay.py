"""Replaying: the same bytes from a store that has grown since, and a word where anything is not as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetsift.errors import SelectionError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.selection import Cap, Random, SelectionSpec
from fleetsift.selectors.batches.batch import write_batch
from fleetsift.selectors.explaining.replay import AsItWas, replay_batch
from fleetsift.selectors.select import select_batch
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.store.conftest import NAMESPACE, make_refs, make_scores

SPEC = SelectionSpec(
    budget=8, where="uri <> 'FROM frames'", objectives=(Random(),), constraints=(Cap(key="session_id", most=3),)
)


def append(path: Path, offsets: range, partition: int) -> None:
    layout = RowLayout(NAMESPACE.ensemble_id, 2)
    writer = StoreWriter(StoreSpec(path=str(path), flush_rows=7), NAMESPACE, layout, [partition])
    refs = make_refs(offsets, partition)
    writer.append(refs, make_scores(refs))
    writer.flush()


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A batch of a store that has grown since, in both partitions and by a third."""
    for partition in (0, 1):
        append(tmp_path / "store", range(25), partition)
    with ScoreStore(tmp_path / "store") as store:
        write_batch(tmp_path / "batch", select_batch(store, SPEC), store.snapshot())
    for partition in (0, 1):
        append(tmp_path / "store", range(25, 60), partition)
    append(tmp_path / "store", range(30), 2)
    return tmp_path / "batch"


def test_a_store_that_has_grown_gives_the_same_bytes(batch: Path) -> None:
    with ScoreStore(batch.parent / "store") as store:
        assert select_batch(store, SPEC).pool_size == 150
        assert replay_batch(store, batch) == 8


@pytest.mark.parametrize("name", ["batch.csv", "batch.parquet"])
def test_a_file_that_was_changed_is_named(batch: Path, name: str) -> None:
    (batch / name).write_bytes((batch / name).read_bytes() + b" ")
    with (
        ScoreStore(batch.parent / "store") as store,
        pytest.raises(SelectionError, match=f"{name}: expected the bytes that selecting again gives"),
    ):
        replay_batch(store, batch)


def test_chains_that_rows_cannot_tell_apart_are_refused(batch: Path) -> None:
    with ScoreStore(batch.parent / "store") as store, pytest.raises(SelectionError, match="one chain a topic"):
        AsItWas(store, {"frames@a": {"0": 1}, "frames@b": {"0": 1}})
