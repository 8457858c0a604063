"""Replaying: the same bytes from a store in which much has come since, and a word where anything is not as it was."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fleetsift.errors import SelectionError, StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.selection import Cap, Random, SelectionSpec
from fleetsift.selectors.batches.batch import write_batch
from fleetsift.selectors.explaining.replay import replay_batch
from fleetsift.selectors.select import select_batch
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.store.conftest import NAMESPACE, make_refs, make_scores
from tests.test_cli import fleetsift

SPEC = SelectionSpec(
    budget=8, where="uri <> 'FROM frames'", objectives=(Random(),), constraints=(Cap(key="session_id", most=3),)
)
MADE_AGAIN = replace(NAMESPACE, topic_id="id-2")
NEWER = replace(NAMESPACE, ensemble_id="newer-000000000001")


def append(path: Path, offsets: range, partition: int, namespace: Namespace = NAMESPACE) -> None:
    layout = RowLayout(namespace.ensemble_id, 2)
    writer = StoreWriter(StoreSpec(path=str(path), flush_rows=7), namespace, layout, [partition])
    refs = make_refs(offsets, partition)
    writer.append(refs, make_scores(refs))
    writer.flush()


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A batch of a store that has grown since, in both partitions and by a third, which repeats what was picked."""
    for partition in (1, 2):
        append(tmp_path / "store", range(25), partition)
    with ScoreStore(tmp_path / "store") as store:
        write_batch(tmp_path / "batch", select_batch(store, SPEC), store.snapshot())
    for partition in (1, 2):
        append(tmp_path / "store", range(25, 60), partition)
    again = [replace(ref, frame_id=f"f-1-{ref.position.offset}") for ref in make_refs(range(30), 0)]
    layout = RowLayout(NAMESPACE.ensemble_id, 2)
    writer = StoreWriter(StoreSpec(path=str(tmp_path / "store")), NAMESPACE, layout, [0])
    writer.append(again, make_scores(again))
    writer.flush()
    return tmp_path / "batch"


def test_a_store_that_has_grown_gives_the_same_bytes(batch: Path) -> None:
    with ScoreStore(batch.parent / "store") as store:
        assert select_batch(store, SPEC).pool_size == 120
    assert replay_batch(batch.parent / "store", batch) == 8


@pytest.mark.parametrize("since", [MADE_AGAIN, NEWER, replace(NEWER, topic_id="id-2")])
def test_a_newer_ensemble_and_a_topic_made_again_change_nothing(batch: Path, since: Namespace) -> None:
    append(batch.parent / "store", range(70), 1, since)
    assert replay_batch(batch.parent / "store", batch) == 8


def test_rows_that_are_gone_are_named(batch: Path) -> None:
    append(batch.parent / "store", range(70), 1, NEWER)
    partition = batch.parent / "store" / NAMESPACE.place(2)
    shutil.rmtree(partition)
    append(batch.parent / "store", range(12), 2)
    with pytest.raises(StoreError, match="from frames@id-1, partition 2, up to offset 25, found them up to 12; open"):
        replay_batch(batch.parent / "store", batch)
    shutil.rmtree(partition.parent)
    with pytest.raises(StoreError, match="partition 1, up to offset 25, found them up to 0"):
        replay_batch(batch.parent / "store", batch)


@pytest.mark.parametrize("name", ["batch.csv", "batch.parquet"])
def test_a_file_that_was_changed_is_named(batch: Path, name: str) -> None:
    (batch / name).write_bytes((batch / name).read_bytes() + b" ")
    with pytest.raises(SelectionError, match=f"{name}: expected the bytes that selecting again gives"):
        replay_batch(batch.parent / "store", batch)


def test_the_verb_says_that_it_is_the_same(batch: Path) -> None:
    config = batch.parent / "fleet.yaml"
    config.write_text("manifest: {path: f.csv}\nframes: {roots: [.]}\nensemble: e.yaml\nstore: {path: store}\n")
    done = fleetsift("replay", config, batch)
    assert done.stdout == f"{batch}: the same 8 picks, every byte\n", done.stderr
