"""The drawn fleet in a real store, and the facts of its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from fleetsift.report.collect import Other, collect
from fleetsift.report.facts import ReportFacts
from fleetsift.schemas.selection import Selection
from tests.report.drawn_fleet import (
    HOSTILE,
    START,
    Fleet,
    drawn_picture,
    drawn_scores,
    pick_capped,
    references,
    write_store,
)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """300 frames of 12 sessions, one of them hostile in every name; 24 picked, at most 3 of a session."""
    refs, scores = references(), drawn_scores()
    store = write_store(tmp_path_factory.mktemp("store"), refs, scores)
    yield Fleet(store, pick_capped(refs, scores, budget=24, most=3), drawn_picture)
    store.close()


@pytest.fixture(scope="session")
def facts(fleet: Fleet) -> ReportFacts:
    found = collect(fleet.store, fleet.selection, fleet.picture)
    return replace(found, headline=replace(found.headline, made_at=START + timedelta(days=6)))


@pytest.fixture(scope="session")
def other(fleet: Fleet) -> Selection:
    """Eight of the batch's picks, and one of its pool that it has not."""
    ours = fleet.selection
    taken = {pick.frame_id for pick in ours.picks}
    absent = next(f for (f,) in fleet.store.sql("SELECT frame_id FROM frames ORDER BY 1").fetchall() if f not in taken)
    picks = (*ours.picks[:8], replace(ours.picks[8], frame_id=absent))
    return replace(ours, picks=picks, spec=msgspec.structs.replace(ours.spec, budget=9, seed=3))


@pytest.fixture(scope="session")
def compared(fleet: Fleet, other: Selection) -> ReportFacts:
    return collect(fleet.store, fleet.selection, fleet.picture, other=Other(HOSTILE, other))
