"""Regions as candidates: the same greedy, the same receipts, under the same constraints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import AreaBalance, Cap, Diversity, Labelled, Score, SelectionSpec
from fleetsift.selectors.batches.batch import read_batch, write_batch
from fleetsift.selectors.batches.boxes import Box, split_box
from fleetsift.selectors.explaining.why import why_in_store
from fleetsift.selectors.select import select_batch
from fleetsift.selectors.strategies import apply_strategy
from fleetsift.store.regions import regions_query
from fleetsift.store.views import ScoreStore
from tests.store.test_regions import CELLS, FRAMES, scores, write

SIDES = ("x", "y", "width", "height")
SPEC = SelectionSpec(
    unit="region",
    budget=8,
    objectives=(Score(expression="mutual_information.mean"), Diversity(), AreaBalance(areas="argmax")),
    constraints=(Cap(key="frame.frame_id", most=2), Cap(key="session_id", most=5)),
)


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(write(tmp_path / "scores", scores()), "region")


def test_caps_hold_a_frame_and_a_session(store: ScoreStore) -> None:
    selection = select_batch(store, SPEC)
    assert (len(selection.picks), selection.pool_size) == (8, FRAMES * CELLS)
    assert len({pick.frame_id for pick in selection.picks}) == 8
    frames = Counter(pick.frame_id.split("#")[0] for pick in selection.picks)
    assert max(frames.values()) <= 2
    assert max(Counter(pick.session_id for pick in selection.picks).values()) <= 5
    assert selection.picks[0].room_left == {"frame.frame_id": 1, "session_id": 4}


@pytest.mark.parametrize("name", ["random", "entropy", "bald", "coreset", "coral"])
def test_strategies_by_name_pick_regions_too(store: ScoreStore, name: str) -> None:
    assert len(select_batch(store, apply_strategy(store, name, SPEC)).picks) == 8


def test_a_batch_of_regions_holds_their_boxes_and_comes_back(store: ScoreStore, tmp_path: Path) -> None:
    selection = select_batch(store, SPEC)
    write_batch(tmp_path / "batch", selection, store.snapshot())
    assert read_batch(tmp_path / "batch") == selection
    table = pq.read_table(tmp_path / "batch" / "batch.parquet").to_pylist()
    for row in table:
        r, q = map(int, row["frame_id"].split("=")[1].split(","))
        assert row["unit"] == "share"
        assert [row[side] for side in SIDES] == pytest.approx([q / 3, r / 2, 1 / 3, 1 / 2], abs=1e-6)


def test_boxes_are_pixels_where_the_size_of_frames_is_known(tmp_path: Path) -> None:
    with ScoreStore(write(tmp_path / "scores", scores(), size=(31, 50)), "region") as store:
        selection = select_batch(store, SPEC)
        write_batch(tmp_path / "batch", selection, store.snapshot())
        assert store.sql("SELECT DISTINCT frame.height, frame.width FROM frames").fetchall() == [(31, 50)]
    for row in pq.read_table(tmp_path / "batch" / "batch.parquet").to_pylist():
        r, q = map(int, row["frame_id"].split("=")[1].split(","))
        left, right, top, bottom = (0, 17, 33, 50)[q], (0, 17, 33, 50)[q + 1], (0, 16, 31)[r], (0, 16, 31)[r + 1]
        box = left, top, right - left, bottom - top
        assert (*(row[side] for side in SIDES), row["unit"]) == (*box, "pixel")
        assert row["uri"].endswith("xywh=pixel:{},{},{},{}".format(*box))


@given(rows=st.integers(1, 7), columns=st.integers(1, 7), height=st.integers(7, 3000), width=st.integers(7, 3000))
@settings(max_examples=25)
def test_the_regions_of_a_frame_cover_each_of_its_pixels_once(rows: int, columns: int, height: int, width: int) -> None:
    query = regions_query(
        "sized", ["uri", "frame_id", "height", "width", "entropy", "mutual_information"], (), shares=False
    )
    cells = rows * columns
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE VIEW sized AS SELECT 'f' AS frame_id, '/f.jpg' AS uri, {height} AS height, {width} AS width, "
            f"[1.0] AS embedding, 0 AS entropy, 0 AS mutual_information, struct_pack(rows := {rows}, "
            f"columns := {columns}, entropy := [0.0 for x in range({cells})], "
            f"mutual_information := [0.0 for x in range({cells})]) AS regions"
        )
        boxes = [split_box(uri)[1] for (uri,) in connection.sql(f"SELECT uri FROM ({query})").fetchall()]
    covered = np.zeros((height, width), np.uint8)
    for box in boxes:
        assert box
        left, top = int(box.x), int(box.y)
        covered[top : top + int(box.height), left : left + int(box.width)] += 1
    assert len(boxes) == cells
    assert (covered == 1).all()


@pytest.mark.parametrize("reason", ["labelled", "excluded"])
def test_a_named_frame_has_no_candidates_and_a_named_region_is_one_less(
    store: ScoreStore, tmp_path: Path, reason: str
) -> None:
    named = tmp_path / "named.txt"
    named.write_text("f-1\nf-2#region=0,0\n")
    spec = SelectionSpec(
        unit="region",
        budget=30,
        objectives=(Diversity(),),
        constraints=(),
        labelled=Labelled(frames=(str(named),) * (reason == "labelled")),
        exclude=(str(named),) * (reason == "excluded"),
    )
    selection = select_batch(store, spec)
    assert selection.pool_size == (FRAMES - 1) * CELLS - 1
    assert selection.left_out == {reason: CELLS + 1}
    assert not {pick.frame_id.split("#")[0] for pick in selection.picks} & {"f-1"}
    assert why_in_store(store, spec, "f-1#region=0,1").left_out == reason


def test_a_score_that_regions_lack_is_told_so(store: ScoreStore) -> None:
    with pytest.raises(
        SelectionError, match=r"no finite mutual_information.top.*; name another score, a region has me"
    ):
        select_batch(store, SelectionSpec(unit="region"))


def test_why_explains_a_region(store: ScoreStore) -> None:
    picked = {pick.frame_id for pick in select_batch(store, SPEC).picks}
    full = Counter(frame_id.split("#")[0] for frame_id in picked).most_common(1)[0][0]
    other = next(f"{full}#region=0,{q}" for q in range(3) if f"{full}#region=0,{q}" not in picked)
    assert "cap frame.frame_id" in why_in_store(store, SPEC, other).kept_out_by


def test_frames_and_regions_are_not_mixed_up(store: ScoreStore) -> None:
    with pytest.raises(SelectionError, match=r"selection.unit: expected region.*ScoreStore\(path, 'frame'\)"):
        select_batch(store, SelectionSpec())
    with pytest.raises(SelectionError, match=r"no finite mutual_information\.top: 30"):
        select_batch(store, SelectionSpec(unit="region"))


@pytest.mark.parametrize(
    ("uri", "whole", "box"),
    [
        ("/a.jpg#xywh=percent:25,0,25,50", "/a.jpg", Box(0.25, 0, 0.25, 0.5)),
        ("/a.jpg#xywh=pixel:480,0,480,360", "/a.jpg", Box(480, 0, 480, 360, "pixel")),
        ("v.mp4#t=12.4&xywh=percent:0,0,12.5,25", "v.mp4#t=12.4", Box(0, 0, 0.125, 0.25)),
        ("/a.jpg#xywh=1,2,3,4", "/a.jpg#xywh=1,2,3,4", None),
        ("/xywh=percent:1,2,3,4", "/xywh=percent:1,2,3,4", None),
    ],
)
def test_a_box_is_read_off_a_uri(uri: str, whole: str, box: Box | None) -> None:
    assert split_box(uri) == (whole, box)


def test_a_box_in_pixels_is_a_share_of_its_frame() -> None:
    assert Box(480, 0, 240, 360, "pixel").in_shares(720, 960) == Box(0.5, 0, 0.25, 0.5)
    assert Box(0.5, 0, 0.25, 0.5).in_shares(720, 960) == Box(0.5, 0, 0.25, 0.5)
