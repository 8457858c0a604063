"""A classifier's store without regions, embeddings, metadata or pictures still has its page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fleetsift.errors import FrameError
from fleetsift.report.collect import collect
from fleetsift.report.page import render_page
from fleetsift.report.pictures import Picture
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.selection import Score, SelectionSpec
from fleetsift.schemas.status import Status
from fleetsift.selectors.select import select_batch
from tests.report.drawn_fleet import FRAMES, drawn_scores, references, write_store
from tests.report.test_page import Elements


def no_picture(uri: str) -> Picture:
    raise FrameError(Status.MISSING, f"nothing at {uri}")


def test_a_bare_store_has_its_page(tmp_path: Path) -> None:
    scores = replace(drawn_scores(), regions=None, embedding=np.zeros((FRAMES, 0), np.float32))
    refs = [FrameRef(ref.position, ref.frame_id, ref.session_id, ref.uri) for ref in references()]
    with write_store(tmp_path, refs, scores) as store:
        selection = select_batch(store, SelectionSpec(budget=9, objectives=(Score(),), constraints=()))
        facts = collect(store, selection, no_picture)
    assert (facts.embedding_map, facts.measures, facts.caps, facts.rules, facts.heat_scale) == (None, (), (), (), None)
    assert [balance.key for balance in facts.balances] == ["session_id"]
    elements = Elements(render_page(facts))
    ids = {attributes.get("id") for _, attributes in elements.found}
    assert {"gains", "scores", "balance", "areas", "picks", "origin"} <= ids
    assert not ids & {"map", "rules"}
    assert "9 of 300 frames to label Scored by the 4 networks" in " ".join(elements.text.split())
