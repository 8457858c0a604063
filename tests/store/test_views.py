"""The reading end: what `frames` and `rows` show, and that user SQL can read the store and do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetsift.errors import QueryError, StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.status import Problem, Status
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore, query_errors
from fleetsift.store.writer import StoreWriter
from tests.s3 import FaultyProxy, S3Server
from tests.store.conftest import NAMESPACE, make_refs, make_scores

CORRUPT = Problem(Status.CORRUPT, "half a JPEG")


def fill(path: Path | str, refs: list[FrameRef], namespace: Namespace = NAMESPACE) -> None:
    writer = StoreWriter(StoreSpec(path=str(path)), namespace, RowLayout(namespace.ensemble_id, 2), [0, 1])
    writer.append(refs, make_scores(refs, {2: CORRUPT}))
    writer.flush()


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ScoreStore]:
    """The same rows on a disk and on a real S3 server: whatever is asked of one, the other answers too."""
    path = str(tmp_path / "store") if request.param == "disk" else f"{request.getfixturevalue('bucket')}/store"
    fill(path, make_refs(range(5), 0) + make_refs(range(3, 6), 1))
    with ScoreStore(path) as opened:
        yield opened


def test_frames_are_scored_and_rows_are_everything(store: ScoreStore) -> None:
    assert store.sql("SELECT count(*) FROM rows").fetchall() == [(8,)]
    assert store.sql("SELECT count(*) FROM frames").fetchall() == [(7,)]
    assert store.sql("SELECT frame_id, reason FROM rows WHERE status <> 'ok'").fetchall() == [("f-0-2", "half a JPEG")]
    assert store.classes == ("road", "car")
    assert store.snapshot() == {"frames@id-1": {"0": 5, "1": 6}}


def test_the_question_of_the_readme(store: ScoreStore) -> None:
    answer = store.sql(
        "SELECT session_id, max(mutual_information.top) FROM frames GROUP BY 1 ORDER BY 2 DESC LIMIT 20"
    ).fetchall()
    assert answer == [("s-0", 0.25)]


def test_values_are_bound(store: ScoreStore) -> None:
    assert store.sql("SELECT frame_id FROM frames WHERE frame_id = ?", ["f-1-4"]).fetchall() == [("f-1-4",)]


def test_a_frame_sent_twice_has_two_rows_and_is_one_frame(tmp_path: Path) -> None:
    again = [renamed(ref, "f-0-1") for ref in make_refs([7, 8], 1)]
    fill(tmp_path, make_refs(range(2)) + again)
    with ScoreStore(tmp_path) as store:
        assert store.sql("SELECT count(*) FROM rows WHERE frame_id = 'f-0-1'").fetchall() == [(3,)]
        assert store.sql('SELECT "partition", "offset" FROM frames WHERE frame_id = \'f-0-1\'').fetchall() == [(0, 1)]


def renamed(ref: FrameRef, frame_id: str) -> FrameRef:
    return FrameRef(ref.position, frame_id, ref.session_id, ref.uri)


def test_frames_are_of_the_newest_ensemble_only(tmp_path: Path) -> None:
    fill(tmp_path, make_refs(range(4)))
    newer = Namespace("frames", "id-1", "zebra-000000000001", ("road", "car"))
    fill(tmp_path, make_refs(range(2)), newer)
    with ScoreStore(tmp_path) as store:
        assert store.ensemble_id == newer.ensemble_id
        assert store.sql("SELECT DISTINCT ensemble FROM frames").fetchall() == [(newer.ensemble_id,)]
        assert store.sql("SELECT count(DISTINCT ensemble) FROM rows").fetchall() == [(2,)]
        assert store.snapshot() == {"frames@id-1": {"0": 2}}


def test_a_store_keeps_showing_what_was_published_when_it_was_opened(tmp_path: Path) -> None:
    fill(tmp_path, make_refs(range(4)))
    with ScoreStore(tmp_path) as store:
        fill(tmp_path, make_refs(range(4, 9)))
        assert store.sql("SELECT count(*) FROM rows").fetchall() == [(4,)]


def test_no_store_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="found no published segment; run the stream first"):
        ScoreStore(tmp_path)


@pytest.mark.parametrize(
    "hostile",
    [
        "COPY (SELECT 1) TO '{inside}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{inside}'",
        "SELECT 1; COPY (SELECT 1) TO '{inside}'",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW frames",
        "ATTACH '{outside}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA threads = 1",
        "EXPORT DATABASE '{outside}'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM glob('{spill}/*')",
        "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
        "SELECT * FROM read_text('s3://fleet-other/secret')",
        "SELECT * FROM glob('s3://fleet-other/*')",
        "",
    ],
)
def test_user_sql_reads_the_store_and_nothing_else(store: ScoreStore, tmp_path: Path, hostile: str) -> None:
    with ScoreStore(store.path) as others:
        [(spill,)] = others.sql("SELECT current_setting('temp_directory')").fetchall()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(QueryError) as caught:
        store.sql(hostile.format(inside=f"{store.path}/evil.csv", outside=tmp_path / "evil.db", spill=spill)).fetchall()
    assert "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_mistake_that_shows_while_reading_is_one_line(store: ScoreStore) -> None:
    with pytest.raises(QueryError, match=r"f-\d-\d"), query_errors():
        store.sql("SELECT frame_id::INT FROM frames ORDER BY frame_id").fetchall()


def test_a_mistake_in_a_query_is_one_line(store: ScoreStore) -> None:
    with pytest.raises(QueryError, match="frame_idd"):
        store.sql("SELECT frame_idd FROM frames")


def test_a_query_asks_an_object_store_three_times_a_segment(
    bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Footer, then columns: whatever is known of a segment is not asked again."""
    for partition in (0, 1):
        fill(bucket, make_refs(range(5), partition))
    with FaultyProxy(s3.port).run() as proxy:
        for name, value in s3.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        with ScoreStore(bucket) as store:
            proxy.asked.clear()
            assert store.sql("SELECT count(*), max(mutual_information.top) FROM frames").fetchall() == [(8, 0.25)]
        assert len(proxy.asked) <= 3 * 2


def test_a_topic_that_was_made_again_keeps_its_old_frames_and_shows_each_once(tmp_path: Path) -> None:
    """The same frames at the same places of two topics of one name: places alone do not tell the rows apart."""
    fill(tmp_path, make_refs(range(5)))
    again = Namespace("frames", "id-2", NAMESPACE.ensemble_id, NAMESPACE.classes)
    fill(tmp_path, [*make_refs(range(4)), renamed(make_refs([4])[0], "f-new")], again)
    with ScoreStore(tmp_path) as store:
        found = store.sql("SELECT frame_id, topic_id FROM frames ORDER BY ALL").fetchall()
        assert store.sql("SELECT count(*) FROM rows").fetchall() == [(10,)]
    assert found == [*((f"f-0-{n}", "id-1") for n in (0, 1, 3, 4)), ("f-new", "id-2")]
