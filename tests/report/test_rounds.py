"""A batch that goes on from an earlier one says so, and counts what the earlier one picked."""

from __future__ import annotations

from collections import Counter

import pytest

from fleetsift.report.collect import collect
from fleetsift.report.facts import ReportFacts
from fleetsift.report.page import render_page
from fleetsift.schemas.selection import Balance, Cap, Diversity, Labelled, Quota, Score, Selection, SelectionSpec
from fleetsift.selectors.batches.batch import write_batch
from fleetsift.selectors.select import select_batch
from tests.report.drawn_fleet import Fleet
from tests.report.test_page import Elements

MOST = 3
RULES = (Cap(most=MOST), Quota(key="camera", value="rear", least=14))


@pytest.fixture(scope="module")
def first(fleet: Fleet) -> Selection:
    return select_batch(fleet.store, SelectionSpec(budget=12, constraints=RULES))


@pytest.fixture(scope="module")
def second(fleet: Fleet, first: Selection, tmp_path_factory: pytest.TempPathFactory) -> Selection:
    """Twelve more, beside two frames that were labelled before either."""
    folder = tmp_path_factory.mktemp("rounds")
    write_batch(folder / "first", first, fleet.store.snapshot())
    taken = {pick.frame_id for pick in first.picks}
    (folder / "labelled.txt").write_text("\n".join(f"frame-{n:04d}" for n in (60, 61)) + "\n")
    assert not {"frame-0060", "frame-0061"} & taken
    spec = SelectionSpec(
        budget=12,
        objectives=(Score(), Diversity(), Balance(key="camera")),
        constraints=RULES,
        continues=(str(folder / "first"),),
        labelled=Labelled(frames=(str(folder / "labelled.txt"),), counts_in=("balance", "caps")),
    )
    return select_batch(fleet.store, spec)


@pytest.fixture(scope="module")
def facts(fleet: Fleet, second: Selection) -> ReportFacts:
    return collect(fleet.store, second, fleet.picture)


def test_the_head_names_what_it_goes_on_from(facts: ReportFacts) -> None:
    earlier = facts.headline.earlier
    assert (earlier.batches, earlier.picks, earlier.labelled) == (("first",), 12, 2)
    text = " ".join(Elements(render_page(facts)).text.split())
    assert "It goes on from first: the 12 frames picked before are no candidates now" in text
    assert "24 in all rounds." in text
    assert "of the batch together with the 14 frames from before that count; the bars are of the batch alone" in text


def test_a_cap_is_reached_with_what_was_picked_before(
    fleet: Fleet, first: Selection, second: Selection, facts: ReportFacts
) -> None:
    session_of = dict(fleet.store.sql("SELECT frame_id, session_id FROM frames").fetchall())
    before = Counter(session_of[name] for name in (*second.earlier, "frame-0060", "frame-0061"))
    now = Counter(pick.session_id for pick in second.picks)
    (by_session,) = facts.caps
    full = {session for session in before | now if before[session] + now[session] >= MOST}
    assert full > {session for session in now if now[session] >= MOST}, "no session was filled by both rounds"
    assert by_session.reached == len(full)
    assert {row.value: (row.before, row.picked) for row in by_session.rows}.items() <= {
        session: (before[session], now[session]) for session in full
    }.items()
    assert "reached it, with what counts from before." in " ".join(Elements(render_page(facts)).text.split())


def test_a_quota_counts_what_was_picked_before(second: Selection, facts: ReportFacts) -> None:
    assert not second.owed
    (quota,) = facts.rules
    assert "It holds: " in quota.outcome
    assert " that count from before." in quota.outcome


def test_map_and_receipts_tell_rounds_from_labels(second: Selection, facts: ReportFacts) -> None:
    assert facts.embedding_map is not None
    assert (len(facts.embedding_map.earlier), len(facts.embedding_map.labelled)) == (12, 2)
    words = {pick.nearest: pick.nearest_before for pick in facts.picks if pick.nearest_rank is None}
    assert words.keys() & set(second.earlier)
    for nearest, said in words.items():
        assert said == ("picked in an earlier round" if nearest in second.earlier else "labelled before")
