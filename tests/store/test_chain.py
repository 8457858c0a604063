"""Whatever writers of one partition do, die or collide, the chain has every row once and no gap in its claims."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.errors import SegmentCorrupt, StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import resume, segment_paths, tally
from fleetsift.store.folder import create_absent
from fleetsift.store.rows import RowLayout
from fleetsift.store.segments import read_facts, segment_name
from fleetsift.store.writer import StoreWriter
from tests.store.conftest import NAMESPACE, make_refs, make_scores

LAYOUT = RowLayout(NAMESPACE.ensemble_id, 2)


def open_writer(store: Path, flush_rows: int = 1_000_000) -> StoreWriter:
    return StoreWriter(StoreSpec(path=str(store), flush_rows=flush_rows), NAMESPACE, LAYOUT, [0])


def write(writer: StoreWriter, offsets: list[int]) -> None:
    refs = make_refs(offsets)
    writer.append(refs, make_scores(refs))


def check_chain(store: Path, delivered: list[int], *, complete: bool = True) -> None:
    """The oracle: no row lost, phantom or doubled; each segment begins where the one before it ends."""
    paths = segment_paths(NAMESPACE.folder(store, 0))
    facts = [read_facts(path) for path in paths]
    assert [fact.start for fact in facts] == [0, *(fact.next for fact in facts[:-1])][: len(facts)]
    assert [segment_name(fact.start) for fact in facts] == [path.name for path in paths]
    rows = [offset for path in paths for offset in pq.read_table(path, columns=["offset"])["offset"].to_pylist()]
    end = facts[-1].next if facts else 0
    assert rows == [offset for offset in delivered if offset < end]
    assert sum(tally(NAMESPACE.folder(store, 0), 0).values()) == len(rows)
    if complete:
        assert rows == delivered
    assert not [path for path in store.rglob("*") if path.is_file() and path not in paths]


def test_rows_are_published_when_there_are_enough(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, flush_rows=10)
    for begin in range(0, 24, 4):
        write(writer, list(range(begin, begin + 4)))
    assert [path.stem.lstrip("0") or "0" for path in segment_paths(NAMESPACE.folder(tmp_path, 0))] == ["0", "12"]
    writer.flush()
    check_chain(tmp_path, list(range(24)))


def test_rows_are_published_when_they_are_old_enough(tmp_path: Path) -> None:
    writer = StoreWriter(StoreSpec(path=str(tmp_path), flush_s=0.01), NAMESPACE, LAYOUT, [0])
    write(writer, [0, 1])
    while not segment_paths(NAMESPACE.folder(tmp_path, 0)):
        writer.append([], make_scores([]))  # an empty batch is a tick of the clock
    check_chain(tmp_path, [0, 1])


def test_a_segment_claims_the_gaps_before_it(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    write(writer, [3, 7, 8])
    writer.flush()
    write(writer, [20])
    writer.flush()
    check_chain(tmp_path, [3, 7, 8, 20])
    assert open_writer(tmp_path).ends() == {0: 21}


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
    path = tmp_path / "deep" / "er" / segment_name(0)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: create_absent(path, b"%d" % i), range(8)))
    assert won.count(True) == 1
    assert path.read_bytes() == b"%d" % won.index(True)
    assert list(path.parent.iterdir()) == [path]


def test_a_lost_race_is_logged_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    zombie, heir = open_writer(tmp_path), open_writer(tmp_path)
    write(zombie, [0, 1, 2, 3])
    write(heir, [0, 1])
    heir.flush()
    zombie.flush()
    check_chain(tmp_path, [0, 1, 2, 3])
    assert "another writer published [0, 2)" in caplog.text


def test_a_damaged_end_is_refused_and_named(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    write(writer, [0, 1])
    writer.flush()
    [path] = segment_paths(NAMESPACE.folder(tmp_path, 0))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SegmentCorrupt, match=path.name):
        open_writer(tmp_path)


def test_a_segment_of_another_place_is_refused(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    write(writer, [0, 1])
    writer.flush()
    [path] = segment_paths(NAMESPACE.folder(tmp_path, 0))
    moved = path.rename(path.with_name(segment_name(99)))
    with pytest.raises(SegmentCorrupt, match=moved.name):
        resume(moved.parent, NAMESPACE, 0)


def test_a_disk_that_refuses_is_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    writer = open_writer(tmp_path / "store")
    write(writer, [0])
    with pytest.raises(StoreError, match="cannot be published"):
        writer.flush()


PUBLISH_FOR_EVER = """
import sys
from pathlib import Path
from fleetsift.store.folder import create_absent
number = 0
while True:
    create_absent(Path(sys.argv[1]) / f"{number:020d}.parquet", bytes(200_000))
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
        visible = segment_paths(folder)
        assert len(visible) >= acknowledged + 1
        assert {path.stat().st_size for path in visible} == {200_000}
