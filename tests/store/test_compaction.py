"""Merging and pruning at any moment, by anybody, dying anywhere: readers see every row once, writers their chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.errors import SegmentCorrupt
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import segment_names, verify_end
from fleetsift.store.compaction import Compacted, MergeSize, compact_chain, prune_chain
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.merged import is_merged, list_chains, merged_end, sort_into_chains
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.store.conftest import NAMESPACE, make_refs, make_scores

KEEP = timedelta(hours=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL = MergeSize(rows=1_000_000, everything=True)


def open_writer(store: Path | str, layout: RowLayout | None = None) -> StoreWriter:
    return StoreWriter(StoreSpec(path=str(store)), NAMESPACE, layout or RowLayout(NAMESPACE.ensemble_id, 2), [0])


def publish(writer: StoreWriter, offsets: range) -> None:
    refs = make_refs(offsets)
    writer.append(refs, make_scores(refs))
    writer.flush()


def fill(store: Path | str, sizes: list[int]) -> int:
    """A segment of so many rows each; returns the end of the chain."""
    writer = open_writer(store)
    for size in sizes:
        end = writer.ends()[0]
        publish(writer, range(end, end + size))
    return writer.ends()[0]


def compact(root: Folder, size: MergeSize, now: datetime = NOON) -> Compacted:
    [chain] = list_chains(root)
    return compact_chain(root, chain, size, now)


def prune(root: Folder, now: datetime) -> Compacted:
    [chain] = list_chains(root)
    return prune_chain(root, chain, KEEP, now)


def offsets_in(store: Path | str) -> list[int]:
    with ScoreStore(store) as opened:
        return [offset for (offset,) in opened.sql('SELECT "offset" FROM rows ORDER BY 1').fetchall()]


def test_small_segments_become_few_files_with_the_same_rows(tmp_path: Path) -> None:
    end = fill(tmp_path, [3] * 20)
    with ScoreStore(tmp_path) as before:
        rows, snapshot = before.sql('SELECT * FROM rows ORDER BY "offset"').fetchall(), before.snapshot()
    root = open_folder(tmp_path)
    assert compact(root, MergeSize(rows=10)) == Compacted(merged_segments=20, merged_files=5, merged_rows=60)
    [chain] = list_chains(root)
    assert len(chain.covering(merged_end(root, chain))) == 5
    assert prune(root, NOON + KEEP).pruned_segments == 19
    assert len(segment_names(root)) == 1
    with ScoreStore(tmp_path) as after:
        assert after.sql('SELECT * FROM rows ORDER BY "offset"').fetchall() == rows
        assert after.snapshot() == snapshot == {"frames@id-1": {"0": end}}
    assert open_writer(tmp_path).ends() == {0: end}


def test_what_is_not_enough_yet_stays_in_the_chain(tmp_path: Path) -> None:
    fill(tmp_path, [4, 4, 4])
    root = open_folder(tmp_path)
    assert compact(root, MergeSize(rows=8)) == Compacted(merged_segments=2, merged_files=1, merged_rows=8)
    assert compact(root, MergeSize(rows=8)) == Compacted()
    assert offsets_in(tmp_path) == list(range(12))
    fill(tmp_path, [4])
    assert compact(root, MergeSize(rows=8)).merged_segments == 2
    assert offsets_in(tmp_path) == list(range(16))


def test_what_was_merged_lately_is_not_pruned_yet(tmp_path: Path) -> None:
    fill(tmp_path, [2, 2, 2])
    root = open_folder(tmp_path)
    compact(root, ALL)
    assert prune(root, NOON + KEEP - timedelta(seconds=1)) == Compacted()
    assert prune(root, NOON + KEEP) == Compacted(pruned_segments=2)
    assert prune(root, NOON + KEEP) == Compacted()


def test_columns_that_changed_begin_another_file(tmp_path: Path) -> None:
    fill(tmp_path, [3, 3])
    wider = RowLayout(NAMESPACE.ensemble_id, 2, {"city": "string"})
    writer = open_writer(tmp_path, wider)
    publish(writer, range(6, 9))
    publish(writer, range(9, 12))
    root = open_folder(tmp_path)
    assert compact(root, ALL).merged_files == 2
    assert offsets_in(tmp_path) == list(range(12))


def test_a_gap_that_was_sealed_keeps_its_segment(tmp_path: Path) -> None:
    fill(tmp_path, [3])
    writer = open_writer(tmp_path)
    writer.seal(0, 50, "retention passed")
    publish(writer, range(50, 53))
    publish(writer, range(53, 55))
    root = open_folder(tmp_path)
    assert compact(root, ALL) == Compacted(merged_segments=4, merged_files=1, merged_rows=8)
    assert prune(root, NOON + KEEP) == Compacted(pruned_segments=2)
    with ScoreStore(tmp_path) as store:
        assert store.sql("SELECT gap FROM segments WHERE gap <> ''").fetchall() == [("retention passed",)]
    assert offsets_in(tmp_path) == [0, 1, 2, *range(50, 55)]


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-30]), Path.unlink])
def test_a_damaged_or_missing_segment_is_not_merged_over(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    fill(tmp_path, [2, 2, 2])
    damage(sorted(tmp_path.rglob("*.parquet"))[1])
    with pytest.raises(SegmentCorrupt, match="restore"):
        compact(open_folder(tmp_path), ALL)


def test_nothing_is_pruned_for_a_merged_file_that_is_damaged(tmp_path: Path) -> None:
    fill(tmp_path, [2, 2, 2])
    root = open_folder(tmp_path)
    compact(root, ALL)
    [merged] = [path for path in tmp_path.rglob("*") if is_merged(path.name)]
    data = bytearray(merged.read_bytes())
    data[100] ^= 1
    merged.write_bytes(data)
    with pytest.raises(SegmentCorrupt, match="do not match the hash"):
        prune(root, NOON + KEEP)
    assert len(segment_names(root)) == 3


def test_a_bucket_is_merged_and_pruned_alike(bucket: str) -> None:
    fill(f"{bucket}/store", [3] * 7)
    root = open_folder(f"{bucket}/store")
    assert compact(root, MergeSize(rows=9)) == Compacted(merged_segments=6, merged_files=2, merged_rows=18)
    assert prune(root, NOON + KEEP).pruned_segments == 6
    assert offsets_in(f"{bucket}/store") == list(range(21))


class Dies(Exception):
    """Stands for kill -9."""


@dataclass
class Mortal:
    """A folder whose user dies at its nth change of it, before that or right after."""

    inner: Folder
    lives: list[int]  # shared by the folders below
    after: bool

    @property
    def path(self) -> str:
        return self.inner.path

    def below(self, name: str) -> Mortal:
        return Mortal(self.inner.below(name), self.lives, self.after)

    def create_absent(self, name: str, data: bytes) -> bool:
        self._step(0)
        created = self.inner.create_absent(name, data)
        self._step(1)
        return created

    def remove(self, name: str) -> None:
        self._step(0)
        self.inner.remove(name)
        self._step(1)

    def sweep(self) -> None:
        self.inner.sweep()

    def overwrite(self, name: str, data: bytes) -> None:
        self.inner.overwrite(name, data)

    def read(self, name: str, last: int | None = None) -> bytes:
        return self.inner.read(name, last)

    def folders(self) -> list[str]:
        return self.inner.folders()

    def names(self) -> list[str]:
        return self.inner.names()

    def _step(self, moment: int) -> None:
        if moment == self.after:
            self.lives[0] -= 1
            if self.lives[0] < 0:
                raise Dies


def read_listed(root: Folder, names: list[str]) -> list[int]:
    """What a reader finds that listed the store a while ago."""
    [chain] = sort_into_chains(names)
    files = chain.covering(merged_end(root, chain))
    tables = [pq.read_table(pa.BufferReader(root.read(name)), columns=["offset"]) for name in files]
    return [offset for table in tables for offset in table["offset"].to_pylist()]


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("seal"), st.integers(1, 9), st.booleans()),
    st.tuples(st.just("compact"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("prune"), st.integers(0, 6), st.booleans()),
    st.tuples(st.just("list"), st.just(0), st.booleans()),
    st.tuples(st.just("wait"), st.integers(5, 50), st.booleans()),
)


@pytest.mark.slow
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=st.integers(1, 5), steps=st.lists(STEPS, max_size=25), target=st.integers(2, 12), eager=st.booleans())
def test_any_schedule_of_merging_pruning_and_dying_shows_every_row_once(
    new_store: Callable[[], Path], first: int, steps: list[tuple[str, int, bool]], target: int, eager: bool
) -> None:
    """Readers that listed less than KEEP ago find all rows of that moment; new ones all rows; writers go on.

    Gaps that were sealed stay known, however much was merged around them.
    """
    store = new_store()
    root, now, size = open_folder(store), NOON, MergeSize(rows=target, everything=eager)
    end = fill(store, [first])
    offsets, gaps = list(range(end)), 0
    readers: list[tuple[datetime, list[str], int]] = []
    for action, number, flag in steps:
        if action == "publish":
            begin, end = end, fill(store, [1] * number)
            offsets += range(begin, end)
        elif action == "seal":
            open_writer(store).seal(0, end := end + number, "retention passed")
            gaps += 1
        elif action == "wait":
            now += timedelta(minutes=number)
        elif action == "list":
            readers.append((now, root.names(), len(offsets)))
        else:
            mortal = Mortal(root, [number], flag)
            try:
                if action == "compact":
                    compact(mortal, size, now)
                else:
                    prune(mortal, now)
            except Dies:
                pass
        assert read_listed(root, root.names()) == offsets
        for since, names, upto in readers:
            if now - since < KEEP:
                assert read_listed(root, names) == offsets[:upto]
        last = verify_end(NAMESPACE.folder(root, 0), NAMESPACE, 0)
        assert (last.next if last else 0) == end
    compact(root, ALL, now)
    prune(root, now + KEEP)
    assert read_listed(root, root.names()) == offsets
    with ScoreStore(store) as opened:
        assert opened.sql("SELECT count(*) FROM segments WHERE gap <> ''").fetchall() == [(gaps,)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=15), ours=st.integers(2, 12), theirs=st.integers(2, 12))
def test_two_who_merge_one_chain_never_overlap(
    new_store: Callable[[], Path], sizes: list[int], ours: int, theirs: int
) -> None:
    """One listed the store before the other merged: whoever comes second leaves it to the first, and goes on later."""
    store = new_store()
    end, root = fill(store, sizes), open_folder(store)
    [stale] = list_chains(root)
    compact(root, MergeSize(rows=theirs))
    compact_chain(root, stale, MergeSize(rows=ours, everything=True), NOON)
    assert read_listed(root, root.names()) == list(range(end))
    compact(root, ALL)
    assert read_listed(root, root.names()) == list(range(end))
