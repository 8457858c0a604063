"""From a store to a pool: who is a candidate, who is left out and counted, and that the order of rows says nothing."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleetsift.errors import SelectionError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Diversity,
    Gap,
    Guard,
    Labelled,
    RoundRobin,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
)
from fleetsift.selectors.pools.reading import read_pool, reason_left_out
from fleetsift.selectors.select import select_batch
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame
from tests.store.conftest import NAMESPACE, make_refs, make_scores

SCORE_ONLY = (Score(),)
NAN, INFINITY = float("nan"), float("inf")


def fleet(frames: int = 60) -> list[dict[str, object]]:
    """Frames of six sessions and two cameras, with scores and looks that repeat."""
    return [
        frame(
            f"f-{i:03}",
            session=f"s-{i // 10}",
            camera=("front", "rear", None)[i % 3],
            score=(i * 7 % 10) / 10,
            road=(i * 3 % 8) / 8,
            car=(i * 5 % 8) / 8,
            embedding=[float(i * 7 % 5), float(i * 11 % 4), float(i % 2)],
        )
        for i in range(frames)
    ]


def test_a_pool_is_what_the_specification_asks_for() -> None:
    spec = SelectionSpec(constraints=(Cap(), Cap(key="camera")))
    pool = read_pool(FramesInDuckDB(fleet(12)[::-1]), spec)
    assert pool.ensemble_id == "tests-000000000000"
    assert pool.frame_id.to_pylist() == [f"f-{i:03}" for i in range(12)]
    assert pool.uri[3].as_py() == "/f-003.jpg"
    assert pool.session_id.to_pylist() == ["s-0"] * 10 + ["s-1"] * 2
    np.testing.assert_allclose(pool.scores["mutual_information.top"], [(i * 7 % 10) / 10 for i in range(12)], rtol=1e-7)
    assert pool.keys["session_id"].values == ("s-0", "s-1")
    assert pool.keys["camera"].codes.tolist() == [0, 1, -1] * 4
    assert pool.embedding is not None
    assert pool.embedding.tolist() == [row["embedding"] for row in fleet(12)]
    assert pool.class_scores == {}
    assert pool.left_out == {}


def test_only_the_columns_that_are_needed_are_read() -> None:
    pool = read_pool(FramesInDuckDB(fleet(3)), SelectionSpec(objectives=SCORE_ONLY, constraints=()))
    assert (list(pool.scores), pool.keys, pool.embedding, len(pool.labelled)) == (
        ["mutual_information.top"],
        {},
        None,
        0,
    )


@pytest.mark.parametrize("round_robin", [None, RoundRobin()])
def test_the_order_of_rows_changes_nothing(round_robin: RoundRobin | None) -> None:
    spec = SelectionSpec(budget=25, constraints=(Cap(most=5), Cap(key="camera", most=9)), round_robin=round_robin)
    rows = fleet()
    expected = select_batch(FramesInDuckDB(rows), spec)
    assert len(expected.picks) == 25
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert select_batch(FramesInDuckDB(rows, rows_a_chunk=3 + seed), spec) == expected


@pytest.mark.parametrize("score", [None, NAN, INFINITY, -INFINITY])
def test_a_frame_without_a_finite_score_is_no_candidate_and_is_counted(score: float | None) -> None:
    """Known mistakes 5 and 10: a broken frame that is always selected, or never and without a word."""
    rows = [frame("good"), frame("bad", score=score), frame("worse", score=score)]
    pool = read_pool(
        FramesInDuckDB(rows), SelectionSpec(objectives=SCORE_ONLY, where="mutual_information.top IS NULL OR true")
    )
    assert pool.frame_id.to_pylist() == ["good"]
    assert pool.left_out == {"no finite mutual_information.top": 2}


def test_an_expression_that_fails_on_a_frame_leaves_it_out() -> None:
    rows = [frame("good", city="12.5"), frame("bad", city="Lisbon")]
    spec = SelectionSpec(objectives=(Score(expression="metadata.city::DOUBLE"),))
    pool = read_pool(FramesInDuckDB(rows), spec)
    assert pool.scores["metadata.city::DOUBLE"].tolist() == [12.5]
    assert pool.left_out == {"no finite metadata.city::DOUBLE": 1}


@pytest.mark.parametrize("embedding", [None, [], [1.0], [1.0, NAN], [1.0, INFINITY], [1.0, 1e30], [1.0, None]])
def test_a_frame_without_a_whole_embedding_is_no_candidate_for_diversity(embedding: list[float] | None) -> None:
    store = FramesInDuckDB([frame("good"), frame("odd", embedding=embedding), frame("too")], rows_a_chunk=2)
    pool = read_pool(store, SelectionSpec())
    assert (pool.frame_id.to_pylist(), pool.left_out) == (["good", "too"], {"no embedding": 1})
    assert len(read_pool(store, SelectionSpec(objectives=SCORE_ONLY))) == 3


def test_a_frame_that_was_captured_nobody_knows_when_cannot_keep_a_gap() -> None:
    rows = [frame("a", captured_at=datetime(2026, 1, 2, 0, 0, 1, 5, UTC)), frame("b", captured_at=None)]
    spec = SelectionSpec(objectives=SCORE_ONLY, constraints=(Gap(key="camera"), Cap(key="camera")))
    pool = read_pool(FramesInDuckDB(rows), spec)
    assert (pool.frame_id.to_pylist(), pool.left_out) == (["a"], {"no captured_at": 1})
    assert pool.moments().tolist() == [1_767_312_001_000_005]
    assert list(pool.keys) == ["camera"]


def test_given_frames_bring_their_embeddings_and_are_no_candidates_for_it(tmp_path: Path) -> None:
    rows = [
        frame("a", embedding=[1.0, 0.0]),
        frame("b", embedding=[0.0, 3.0], camera="rear", score=None),
        frame("c", embedding=None),
    ]
    given = tmp_path / "given.txt"
    given.write_text("b\n")
    spec = SelectionSpec(objectives=(Similarity(frames=(str(given),)), Balance(key="camera")), where="camera = 'front'")
    pool = read_pool(FramesInDuckDB(rows), spec)
    assert (pool.frame_id.to_pylist(), pool.left_out) == (["a"], {"where": 1, "no embedding": 1})
    assert pool.given["similarity"].tolist() == [[0.0, 3.0]]
    assert list(pool.keys) == ["camera", "session_id"]
    for text, complaint in (("b\nc\nd\n", "2 are none, such as 'c'"), ("", "none is named; score them")):
        given.write_text(text)
        with pytest.raises(SelectionError, match=r"similarity: expected frames or sessions of the store") as refusal:
            read_pool(FramesInDuckDB(rows), spec)
        assert complaint in str(refusal.value)


def test_areas_come_by_class_and_a_frame_without_one_is_left_out() -> None:
    rows = [frame("a"), frame("b") | {"area": {"road": 1.0, "car": None}}]
    spec = SelectionSpec(objectives=(AreaBalance(),))
    pool = read_pool(FramesInDuckDB(rows), spec)
    assert {name: column.tolist() for name, column in pool.class_areas("area").items()} == {"road": [0.5], "car": [0.5]}
    assert pool.left_out == {"no finite area.car": 1}
    assert reason_left_out(FramesInDuckDB(rows), spec, "b") == "no finite area.car"
    with pytest.raises(SelectionError, match=r"objectives\[0\]\.areas: expected a struct, got float"):
        read_pool(FramesInDuckDB(rows), SelectionSpec(objectives=(AreaBalance(areas="entropy.mean"),)))


def test_a_test_session_and_what_looks_like_it_stay_out(tmp_path: Path) -> None:
    rows = [
        frame("a", session="test", embedding=[5.0, 0.0]),
        frame("b", embedding=[5.5, 0.0]),
        frame("c", embedding=[6.0, 0.0]),
        frame("d", embedding=[0.0, 0.0], score=0.1),
    ]
    spec = SelectionSpec(
        objectives=SCORE_ONLY,
        where="session_id <> 'test'",
        constraints=(Guard(sessions=("test",), least=1.0), Threshold(expression="entropy.mean", least=1.0)),
    )
    selection = select_batch(FramesInDuckDB(rows), spec)
    assert [pick.frame_id for pick in selection.picks] == ["c", "d"]
    assert selection.blocked_by == {"guard": 1}
    absent = (Guard(sessions=("test", "tset"), least=1.0),)
    with pytest.raises(SelectionError, match=r"selection guard: .* 1 are none, such as 'tset'"):
        select_batch(FramesInDuckDB(rows), msgspec.structs.replace(spec, constraints=absent))


def test_the_filter_admits_what_is_true() -> None:
    rows = [frame("a", city="Lisbon"), frame("b", city="Oslo"), frame("c", city=None)]
    pool = read_pool(FramesInDuckDB(rows), SelectionSpec(where="metadata.city = 'Lisbon' OR false -- not Oslo"))
    assert (pool.frame_id.to_pylist(), pool.left_out) == (["a"], {"where": 2})


def test_brackets_in_the_filter_do_not_let_excluded_frames_in(tmp_path: Path) -> None:
    spec = SelectionSpec(where="true) OR (true", labelled=Labelled(sessions=("s-0",)))
    pool = read_pool(FramesInDuckDB(fleet(20)), spec)
    assert set(pool.session_id.to_pylist()) == {"s-1"}
    assert pool.left_out == {"session left out": 10}


def test_labelled_frames_are_no_candidates_but_centres(tmp_path: Path) -> None:
    (tmp_path / "labelled.txt").write_text("f-001\nf-055\nnot in the store\n")
    labelled = Labelled(frames=(str(tmp_path / "labelled.txt"),), sessions=("s-5",))
    spec = SelectionSpec(budget=60, where="session_id <> 's-4'", labelled=labelled, constraints=())
    pool = read_pool(FramesInDuckDB(fleet()), spec)
    assert pool.left_out == {"where": 10, "labelled": 2, "session left out": 9}
    assert pool.candidates.sum() == 60 - 10 - 1 - 10
    assert pool.uncounted == {"labelled": 1}
    assert pool.frame_id.take(pool.labelled).to_pylist() == ["f-001", "f-055"]
    selection = select_batch(FramesInDuckDB(fleet()), spec)
    assert selection.picks[0].nearest in ("f-001", "f-055")
    assert not {"f-001", "f-055"} & {pick.frame_id for pick in selection.picks}
    assert not {"s-4", "s-5"} & {pick.session_id for pick in selection.picks}
    assert selection.shortfall == 60 - 39
    assert sum(selection.left_out.values()) + selection.pool_size == 60


def test_excluded_frames_are_neither_candidates_nor_centres(tmp_path: Path) -> None:
    (tmp_path / "sensor.txt").write_text("f-001\nf-055\nnot in the store\n")
    spec = SelectionSpec(budget=60, exclude=(str(tmp_path / "sensor.txt"),), objectives=(Diversity(),), constraints=())
    pool = read_pool(FramesInDuckDB(fleet()), spec)
    assert pool.left_out == {"excluded": 2}
    assert (len(pool.labelled), pool.uncounted) == (0, {})
    assert set(pool.frame_id.to_pylist()) == {f"f-{i:03d}" for i in range(60)} - {"f-001", "f-055"}
    assert reason_left_out(FramesInDuckDB(fleet()), spec, "f-055") == "excluded"
    gone = msgspec.structs.replace(spec, exclude=(str(tmp_path / "gone.txt"),))
    with pytest.raises(SelectionError, match=r"selection\.exclude: expected .*gone\.txt"):
        read_pool(FramesInDuckDB(fleet()), gone)


def test_classes_take_turns_in_the_ensembles_order_or_in_the_one_asked_for() -> None:
    store = FramesInDuckDB(fleet())
    assert list(read_pool(store, SelectionSpec(round_robin=RoundRobin())).class_scores) == ["road", "car"]
    chosen = RoundRobin(classes=("car",), score="area")
    assert list(read_pool(store, SelectionSpec(round_robin=chosen)).class_scores) == ["car"]
    with pytest.raises(SelectionError, match=r"classes of area, got \['tram'\]; there are road, car"):
        read_pool(store, SelectionSpec(round_robin=RoundRobin(classes=("tram",), score="area")))


def test_a_frame_without_a_score_for_a_class_takes_no_part_in_turns() -> None:
    rows = [frame("a"), frame("b", car=None), frame("c", road=NAN)]
    pool = read_pool(FramesInDuckDB(rows), SelectionSpec(round_robin=RoundRobin()))
    assert pool.frame_id.to_pylist() == ["a"]
    counts = {"no finite mutual_information.by_class.road": 1, "no finite mutual_information.by_class.car": 1}
    assert pool.left_out == counts


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            SelectionSpec(objectives=(Score(expression="frame_id"),)),
            r"objectives\[0\].expression: expected a number, got varchar",
        ),
        (
            SelectionSpec(objectives=(Score(expression="entropy"),)),
            r"expression: expected a number, got struct from 'entropy'; name one of its fields",
        ),
        (
            SelectionSpec(objectives=(Score(expression="random()"),)),
            r"selection.objectives\[0\].expression: .* got random\(\)",
        ),
        (SelectionSpec(where="entropy.mean"), "where: expected true or false, got float"),
        (SelectionSpec(where="1); COPY frames TO 'x'; --"), "selection.where: expected one SQL expression"),
        (
            SelectionSpec(constraints=(Cap(key="read_text('x')"),)),
            r"selection.constraints\[0\].key: .* got read_text\(\)",
        ),
        (
            SelectionSpec(round_robin=RoundRobin(score="entropy.mean")),
            "round_robin.score: expected a struct, got float",
        ),
        (SelectionSpec(where="false"), r"expected candidates, got none \(where: 2\); widen the filter"),
        (SelectionSpec(labelled=Labelled(frames=("/nowhere.txt",))), "expected /nowhere.txt to be Parquet or CSV"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(spec: SelectionSpec, complaint: str) -> None:
    with pytest.raises(SelectionError, match=complaint) as refusal:
        read_pool(FramesInDuckDB([frame("a"), frame("b")]), spec)
    assert "\n" not in str(refusal.value)


def test_an_ensemble_without_an_embedding_has_no_diversity() -> None:
    store = FramesInDuckDB([frame("a", embedding=None)])
    with pytest.raises(SelectionError, match=r"objectives: expected embeddings, the store has none"):
        read_pool(store, SelectionSpec(objectives=(Diversity(),)))


def test_an_empty_store_has_no_candidates() -> None:
    with pytest.raises(SelectionError, match=r"got none \(the store has no scored frame\)"):
        read_pool(FramesInDuckDB([]), SelectionSpec(objectives=SCORE_ONLY))


def test_a_real_store_in_any_files_gives_the_same_picks_and_a_repeated_frame_once(tmp_path: Path) -> None:
    """Fault 32: the same frame_id twice is two rows, and selected once."""
    refs = make_refs(range(30), 0) + make_refs(range(30), 1)
    again = make_refs(range(30, 35), 0)
    again = [type(ref)(ref.position, f"f-1-{i}", "s-0", ref.uri) for i, ref in enumerate(again)]
    batches = []
    for flush_rows in (4, 1000):
        path = tmp_path / f"store-{flush_rows}"
        writer = StoreWriter(
            StoreSpec(path=str(path), flush_rows=flush_rows), NAMESPACE, RowLayout(NAMESPACE.ensemble_id, 2), [0, 1]
        )
        for chunk in (refs[:17], refs[17:44], refs[44:], again):
            writer.append(chunk, make_scores(chunk))
        writer.flush()
        with ScoreStore(path) as store:
            batches.append(select_batch(store, SelectionSpec(budget=100, constraints=(Cap(most=7),))))
            with pytest.raises(SelectionError, match="got read_parquet"):
                select_batch(store, SelectionSpec(where="read_parquet('x') IS NULL"))
    assert batches[0] == batches[1]
    picked = [pick.frame_id for pick in batches[0].picks]
    assert len(picked) == len(set(picked)) == batches[0].pool_size - sum(batches[0].blocked_by.values())
    assert batches[0].pool_size == 60
