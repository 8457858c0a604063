"""Regions as candidates: the same greedy, the same receipts, under the same constraints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import AreaBalance, Cap, Diversity, Labelled, Score, SelectionSpec
from fleetsift.selectors.batches.batch import read_batch, write_batch
from fleetsift.selectors.batches.boxes import Box, split_box
from fleetsift.selectors.explaining.why import why_in_store
from fleetsift.selectors.select import select_batch
from fleetsift.selectors.strategies import apply_strategy
from fleetsift.store.views import ScoreStore
from tests.store.test_regions import CELLS, FRAMES, scores, write

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
        assert [row[side] for side in Box._fields] == pytest.approx([q / 3, r / 2, 1 / 3, 1 / 2], abs=1e-6)


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
        ("v.mp4#t=12.4&xywh=percent:0,0,12.5,25", "v.mp4#t=12.4", Box(0, 0, 0.125, 0.25)),
        ("/a.jpg#xywh=1,2,3,4", "/a.jpg#xywh=1,2,3,4", None),
        ("/xywh=percent:1,2,3,4", "/xywh=percent:1,2,3,4", None),
    ],
)
def test_a_box_is_read_off_a_uri(uri: str, whole: str, box: Box | None) -> None:
    assert split_box(uri) == (whole, box)
