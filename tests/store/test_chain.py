"""Whatever writers of one partition do, die or collide, the chain has every row once and no gap in its claims."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.errors import SegmentCorrupt, StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import Tally, read_end, segment_names, verify_end
from fleetsift.store.disk import DiskFolder
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.rows import RowLayout, rows_table
from fleetsift.store.segments import read_facts, segment_name
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.store.conftest import NAMESPACE, make_refs, make_scores

LAYOUT = RowLayout(NAMESPACE.ensemble_id, 2)


def open_writer(store: Path, flush_rows: int = 1_000_000) -> StoreWriter:
    return StoreWriter(StoreSpec(path=str(store), flush_rows=flush_rows), NAMESPACE, LAYOUT, [0])


def write(writer: StoreWriter, offsets: list[int]) -> None:
    refs = make_refs(offsets)
    writer.append(refs, make_scores(refs))


def chain_of(store: Path) -> Folder:
    return NAMESPACE.folder(open_folder(store), 0)


def check_chain(store: Path, delivered: list[int], *, complete: bool = True) -> None:
    """The oracle: no row lost, phantom or doubled; each segment begins where the one before it ends."""
    folder = chain_of(store)
    names = segment_names(folder)
    facts = [read_facts(folder, name) for name in names]
    assert [fact.start for fact in facts] == [0, *(fact.next for fact in facts[:-1])][: len(facts)]
    assert [segment_name(fact.start) for fact in facts] == names
    tables = [pq.read_table(pa.BufferReader(folder.read(name)), columns=["offset"]) for name in names]
    rows = [offset for table in tables for offset in table["offset"].to_pylist()]
    end = facts[-1].next if facts else 0
    assert rows == [offset for offset in delivered if offset < end]
    tally = Tally.of(facts[-1:])
    assert tally.rows.total() == len(rows)
    if complete:
        assert rows == delivered
    assert set(folder.names()) <= {*names, ".end"}


def test_rows_are_published_when_there_are_enough(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, flush_rows=10)
    for begin in range(0, 24, 4):
        write(writer, list(range(begin, begin + 4)))
    assert segment_names(chain_of(tmp_path)) == [segment_name(0), segment_name(12)]
    writer.flush()
    check_chain(tmp_path, list(range(24)))


def test_rows_are_published_when_they_are_old_enough(tmp_path: Path) -> None:
    writer = StoreWriter(StoreSpec(path=str(tmp_path), flush_s=0.01), NAMESPACE, LAYOUT, [0])
    write(writer, [0, 1])
    while not segment_names(chain_of(tmp_path)):
        writer.append([], make_scores([]))  # an empty batch is a tick of the clock
    check_chain(tmp_path, [0, 1])


def test_rows_are_published_when_they_fill_enough_memory(tmp_path: Path) -> None:
    refs = make_refs(range(40))
    in_memory = rows_table(refs, make_scores(refs), LAYOUT).nbytes
    writer = StoreWriter(StoreSpec(path=str(tmp_path), flush_bytes=in_memory // 2), NAMESPACE, LAYOUT, [0])
    write_one_by_one(writer, list(range(40)))
    writer.flush()
    assert len(segment_names(chain_of(tmp_path))) in (2, 3)
    check_chain(tmp_path, list(range(40)))


def test_a_segment_claims_the_gaps_before_it(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    write(writer, [3, 7, 8])
    writer.flush()
    write(writer, [20])
    writer.flush()
    check_chain(tmp_path, [3, 7, 8, 20])
    assert open_writer(tmp_path).ends() == {0: 21}


def test_a_gap_is_sealed_by_a_segment_that_says_why(tmp_path: Path) -> None:
    """Rows that were kept are published before it, rows after it join it, and SQL shows it."""
    writer = open_writer(tmp_path)
    write(writer, [0, 1, 2])
    writer.seal(0, 40, "retention")
    write(writer, [40, 41])
    writer.flush()
    check_chain(tmp_path, [0, 1, 2, 40, 41])
    tally = Tally.of([read_end(chain_of(tmp_path))])
    assert (tally.rows, tally.sealed_offsets) == ({"ok": 5}, 37)
    with ScoreStore(tmp_path) as store:
        assert store.sql("SELECT count(*) FROM frames").fetchall() == [(5,)]
        gaps = store.sql('SELECT "start", "next", "rows", gap FROM segments WHERE gap <> \'\'').fetchall()
        assert gaps == [(3, 40, 0, "retention")]


def test_of_two_writers_that_seal_a_gap_one_does(tmp_path: Path) -> None:
    for writer in [open_writer(tmp_path), open_writer(tmp_path)]:
        writer.seal(0, 9, "retention")
        assert writer.ends() == {0: 9}
    assert segment_names(chain_of(tmp_path)) == [segment_name(0)]
    heir, zombie = open_writer(tmp_path), open_writer(tmp_path)
    write(heir, [9, 10, 30])
    heir.flush()
    zombie.seal(0, 20, "retention")  # what others have published of the gap stays
    assert open_writer(tmp_path).ends() == {0: 31}


@dataclass
class Session:
    """One writer of the model: it reads the topic from where its chain ended, as the stream does."""

    writer: StoreWriter
    position: int


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    offsets=st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=40).map(sorted),
    schedule=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["append", "append", "flush", "crash"]), st.integers(1, 9)),
        max_size=40,
    ),
)
def test_any_schedule_of_writers_keeps_every_row_once(
    new_store: Callable[[], Path], offsets: list[int], schedule: list[tuple[int, str, int]]
) -> None:
    """Up to three writers of one partition append, publish and die in any order: zombies, second jobs, restarts."""
    store = new_store()
    sessions: dict[int, Session] = {}
    for who, action, size in schedule:
        if who not in sessions:
            writer = open_writer(store)
            sessions[who] = Session(writer, writer.ends()[0])
        session = sessions[who]
        if action == "append":
            batch = [offset for offset in offsets if offset >= session.position][:size]
            write(session.writer, batch)
            session.position = batch[-1] + 1 if batch else session.position
        elif action == "flush":
            session.writer.flush()
        else:
            del sessions[who]
        check_chain(store, offsets, complete=False)
    last = open_writer(store)
    write(last, [offset for offset in offsets if offset >= last.ends()[0]])
    last.flush()
    check_chain(store, offsets)


def test_of_eight_writers_of_one_name_one_wins(tmp_path: Path) -> None:
    folder = DiskFolder(tmp_path / "deep" / "er")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: folder.create_absent("one", b"%d" % i), range(8)))
    assert won.count(True) == 1
    assert folder.read("one") == b"%d" % won.index(True)
    assert folder.names() == ["one"]


def test_a_lost_race_is_logged_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    zombie, heir = open_writer(tmp_path), open_writer(tmp_path)
    write(zombie, [0, 1, 2, 3])
    write(heir, [0, 1])
    heir.flush()
    zombie.flush()
    check_chain(tmp_path, [0, 1, 2, 3])
    assert "another writer published [0, 2)" in caplog.text


def the_only_segment(store: Path) -> Path:
    [path] = store.rglob("*.parquet")
    return path


def test_a_damaged_end_is_refused_and_named(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    write(writer, [0, 1])
    writer.flush()
    path = the_only_segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SegmentCorrupt, match=path.name):
        open_writer(tmp_path)


def test_a_segment_of_another_place_is_refused(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    write(writer, [0, 1])
    writer.flush()
    path = the_only_segment(tmp_path)
    moved = path.rename(path.with_name(segment_name(99)))
    with pytest.raises(SegmentCorrupt, match=moved.name):
        verify_end(chain_of(tmp_path), NAMESPACE, 0)


def test_a_disk_that_refuses_is_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "store")
    write(writer, [0])
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="cannot be published"):
        writer.flush()
    with pytest.raises(StoreError, match="Not a directory"):
        open_writer(tmp_path / "store")


def write_one_by_one(writer: StoreWriter, offsets: list[int]) -> None:
    for offset in offsets:
        write(writer, [offset])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_nothing_partial_and_is_resumed(small_disk: Path) -> None:
    """Row 17: what was published before stays, nothing of the rest is there, and with room again it goes on."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(700_000))
    store, offsets = small_disk / "store", list(range(60))
    writer = open_writer(store, flush_rows=1)
    with pytest.raises(StoreError, match="No space left on device; nothing of it was kept"):
        write_one_by_one(writer, offsets)
    check_chain(store, offsets, complete=False)
    ballast.unlink()
    heir = open_writer(store)
    begin = heir.ends()[0]
    assert 0 < begin < 60
    write(heir, offsets[begin:])
    heir.flush()
    check_chain(store, offsets)


PUBLISH_FOR_EVER = """
import sys
from pathlib import Path
from fleetsift.store.disk import DiskFolder
number = 0
while True:
    DiskFolder(Path(sys.argv[1])).create_absent(f"{number:020d}.parquet", bytes(200_000))
    print(number, flush=True)
    number += 1
"""


def test_a_killed_writer_leaves_only_whole_files(tmp_path: Path) -> None:
    """kill -9 at eight moments: what is visible is whole, and what was acknowledged is there."""
    for moment in range(8):
        folder = tmp_path / str(moment)
        with subprocess.Popen([sys.executable, "-c", PUBLISH_FOR_EVER, str(folder)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(moment * 3 + 1):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
        visible = segment_names(DiskFolder(folder))
        assert len(visible) >= acknowledged + 1
        assert {(folder / name).stat().st_size for name in visible} == {200_000}


def test_drafts_of_killed_writers_are_swept_and_a_living_ones_are_not(tmp_path: Path) -> None:
    """A draft as old as no writer's can be is removed by the next writer; a young one may be somebody's."""
    writer = open_writer(tmp_path)
    write(writer, [0])
    writer.flush()
    drafts = Path(chain_of(tmp_path).path) / ".writing"
    abandoned, young = drafts / "abandoned", drafts / "young"
    for draft in (abandoned, young):
        draft.write_bytes(b"half a segment")
    two_hours_ago_s = time.time() - 7200
    os.utime(abandoned, (two_hours_ago_s, two_hours_ago_s))
    assert open_writer(tmp_path).ends() == {0: 1}
    assert [draft.name for draft in drafts.iterdir()] == ["young"]
    assert segment_names(chain_of(tmp_path)) == [segment_name(0)]


def test_a_hint_that_lies_changes_nothing(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for offset in range(70):
        write(writer, [offset])
        writer.flush()
    hint = Path(chain_of(tmp_path).path) / ".end"
    assert hint.read_bytes() == b"69"
    for lie in (b"", b"no number", b"7", b"0", b"99999999", b"9" * 5000, b"-1"):
        hint.write_bytes(lie)
        assert open_writer(tmp_path).ends() == {0: 70}, lie
    hint.unlink()
    assert open_writer(tmp_path).ends() == {0: 70}
