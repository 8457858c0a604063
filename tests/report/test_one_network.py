"""One network disagrees with nobody: its frames are shown and drawn by how unsure it is, and by what was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fleetsift.engines.engine import UncertaintyMaps
from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.report.collect import collect
from fleetsift.report.page import render_page
from fleetsift.report.verb import take_pictures
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.selection import Score, SelectionSpec
from fleetsift.selectors.select import select_batch
from fleetsift.streaming.frames.reader import FrameReader
from tests.report.drawn_fleet import FRAMES, drawn_picture, drawn_scores, references, write_store
from tests.report.test_page import Elements


def test_a_page_of_one_network_is_about_its_entropy_and_what_was_asked_for(tmp_path: Path) -> None:
    asked = (Score(expression="entropy.top"), Score(expression="area.car + 1"))
    with write_store(tmp_path, references(), drawn_scores(), members=1) as store:
        selection = select_batch(store, SelectionSpec(budget=9, objectives=asked, constraints=()))
        facts = collect(store, selection, drawn_picture)
        hardest = store.sql("SELECT frame_id FROM frames ORDER BY entropy.top DESC LIMIT 1").fetchall()[0][0]
    assert [(gain.name, gain.unit) for gain in facts.gains[:-1]] == [
        ("Entropy", "nats"), ("Entropy where it is highest", "nats"), ("area.car + 1", ""),
    ]  # fmt: skip
    assert [score.name for score in facts.scores] == ["entropy.mean", "entropy.top", "area.car + 1"]
    assert {name for pick in facts.picks for name, _ in pick.of_frame.scores} == {"entropy.mean", "entropy.top"}
    assert {pick.frame_id: pick.of_frame.above for pick in facts.picks}[hardest] == 1
    assert len(facts.picks) < FRAMES
    text = " ".join(Elements(render_page(facts)).text.split())
    assert "A heat map shows where in the frame the network is unsure." in text
    assert "Harder than all others" in text
    for word in ("Disputed", "Mutual information", "networks disagree"):
        assert word not in text


class Doubting(FunctionEngine):
    """An engine whose members are unsure everywhere, and disagree about half of that."""

    def maps(self, frame: NDArray[np.uint8]) -> UncertaintyMaps:
        ones = np.ones(frame.shape[:2], np.float32)
        return replace(FunctionEngine.maps(self, frame), entropy=ones, mutual_information=ones / np.float32(2))


@pytest.mark.parametrize(("members", "nats"), [(1, 1.0), (2, 0.5)])
def test_a_picture_shows_what_its_frame_is_ranked_by(tmp_path: Path, members: int, nats: float) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "f.png")
    engine = Doubting(lambda _: constant_row(), members=members)
    take = take_pictures(engine, FrameReader.open(FramesSpec(roots=(str(tmp_path),))))
    picture = take(str(tmp_path / "f.png"))
    assert (picture.frame.shape, float(picture.heat.max()), float(picture.heat.min())) == ((4, 6, 3), nats, nats)
