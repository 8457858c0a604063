"""Why a frame was not picked: what is said is true, and what would admit it does, and nothing less does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.console import Searching, describe_answer
from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    Cap,
    Constraint,
    Diversity,
    Gap,
    Guard,
    Labelled,
    Quota,
    RoundRobin,
    Score,
    SelectionSpec,
    Threshold,
)
from fleetsift.selectors.explaining.relaxing import Place, first_place
from fleetsift.selectors.explaining.steps import Change
from fleetsift.selectors.explaining.why import why, why_in_store
from fleetsift.selectors.pools.pool import Key, Pool
from fleetsift.selectors.pools.reading import read_pool
from fleetsift.selectors.select import select
from tests.selectors.drawn_pools import large_pool, pools, round_robins, specs
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame
from tests.selectors.plain import candidates, kept_out_by, plain_distance, plain_factors


def admits(pool: Pool, spec: SelectionSpec, frame_id: str) -> bool:
    return frame_id in [pick.frame_id for pick in select(pool, spec).picks]


def with_changes(spec: SelectionSpec, changes: Sequence[Change]) -> SelectionSpec:
    """The specification with these changes applied, by hand."""
    needed = {change.name: change.needed for change in changes}

    def changed(constraint: Constraint) -> Constraint | None:
        if constraint.name not in needed:
            return constraint
        number = needed[constraint.name]
        match constraint:
            case Cap():
                return msgspec.structs.replace(constraint, most=int(number))
            case Gap():
                return msgspec.structs.replace(constraint, least_s=number) if number else None
            case Quota():
                return msgspec.structs.replace(constraint, least=int(number)) if number else None
            case Guard():
                return msgspec.structs.replace(constraint, least=number)
            case Threshold():
                lower = constraint.least is not None and number < constraint.least
                return msgspec.structs.replace(constraint, **{"least" if lower else "most": number})

    constraints = tuple(c for c in map(changed, spec.constraints) if c is not None)
    return msgspec.structs.replace(spec, constraints=constraints, budget=int(needed.get("budget", spec.budget)))


def numbers_before(pool: Pool, spec: SelectionSpec, change: Change, row: int) -> list[float]:
    """Every number nearer to the present one than a change's, of those that a rule may be relaxed to."""
    if change.name == "budget" or change.name.startswith("cap"):
        return list(range(int(change.now) + 1, int(change.needed)))
    if change.name.startswith("quota"):
        return list(range(int(change.needed) + 1, int(change.now)))
    if change.name.startswith("gap"):
        key = change.name.removeprefix("gap ")
        moments_us = pool.moments()[pool.keys[key].codes == pool.keys[key].codes[row]]
        apart_s = {abs(int(moment - pool.moments()[row])) / 1e6 for moment in moments_us}
        return [seconds for seconds in apart_s if change.needed < seconds < change.now]
    return []


@given(pools(most=9), st.one_of(specs(), round_robins()), st.data())
@settings(max_examples=150, deadline=None)
def test_answers_are_true_and_changes_are_the_least(pool: Pool, spec: SelectionSpec, data: st.DataObject) -> None:
    frame_ids = pool.frame_id.to_pylist()
    row = data.draw(st.sampled_from(candidates(pool)))
    answer = why(pool, spec, frame_ids[row])
    picked = [pick.frame_id for pick in select(pool, spec).picks]
    if answer.rank is not None:
        assert picked[answer.rank - 1] == frame_ids[row]
        return
    assert frame_ids[row] not in picked
    rows = [frame_ids.index(name) for name in picked]
    if answer.kept_out_at is not None:
        assert list(answer.kept_out_by) == kept_out_by(pool, spec, row, rows[: answer.kept_out_at])
        assert not answer.kept_out_at or not kept_out_by(pool, spec, row, rows[: answer.kept_out_at - 1])
    elif answer.value is not None:
        assert answer.last is not None
        assert answer.value <= answer.last.value
        if spec.round_robin is None:
            assert answer.factors == plain_factors(pool, spec, row, rows[:-1])
    named = [change.name for change in answer.changes]
    larger = [msgspec.structs.replace(spec, budget=budget) for budget in range(1, len(pool) + 1)]
    assert ("budget" in named) == any(admits(pool, budgeted, frame_ids[row]) for budgeted in larger)
    for change in answer.changes:
        assert admits(pool, with_changes(spec, [change]), frame_ids[row])
        for number in numbers_before(pool, spec, change, row):
            assert not admits(pool, with_changes(spec, [replace(change, needed=number)]), frame_ids[row])
    for cap in spec.constraints:
        if isinstance(cap, Cap) and cap.name in kept_out_by(pool, spec, row, rows):
            every = [Change(cap.name, cap.most, most) for most in range(cap.most + 1, len(pool) + 1)]
            assert (cap.name in named) == any(
                admits(pool, with_changes(spec, [change]), frame_ids[row]) for change in every
            )
    if not answer.changes and not answer.together:  # only a frame of the test set itself stays out whatever gives
        assert any(isinstance(rule, Guard) for rule in spec.constraints)
        assert min(plain_distance(pool.vectors()[row], test) for test in pool.given["guard"]) == 0
    if answer.together:
        assert not answer.changes
        assert admits(pool, with_changes(spec, answer.together), frame_ids[row])
        for change in answer.together:
            others = [other for other in answer.together if other != change]
            assert not admits(pool, with_changes(spec, others), frame_ids[row])
            for number in numbers_before(pool, spec, change, row):
                less = [*others, replace(change, needed=number)]
                assert not admits(pool, with_changes(spec, less), frame_ids[row])
    assert all(change.surely_least for change in (*answer.changes, *answer.together))


@given(pools(most=9), st.one_of(specs(), round_robins()), st.integers(0, 1000), st.data())
@settings(max_examples=50, deadline=None)
def test_a_search_that_has_to_end_promises_no_more_than_it_knows(
    pool: Pool, spec: SelectionSpec, work: int, data: st.DataObject
) -> None:
    row = data.draw(st.sampled_from(candidates(pool)))
    frame_id = pool.frame_id[row].as_py()
    answer = why(pool, spec, frame_id, work=work)
    found: list[Sequence[Change]] = [[change] for change in answer.changes]
    for changes in found or [answer.together] * bool(answer.together):
        assert admits(pool, with_changes(spec, changes), frame_id)
        for change in changes:
            for number in numbers_before(pool, spec, change, row) if change.surely_least else ():
                less = [replace(other, needed=number) if other == change else other for other in changes]
                assert not admits(pool, with_changes(spec, less), frame_id)


def test_large_pools_are_answered_truly_and_picks_are_not_made_again() -> None:
    large = large_pool(6_000)  # more than a front: most candidates lag behind
    cameras = np.random.default_rng(1).integers(0, 3, len(large), np.int32)
    pool = replace(large, keys={**large.keys, "camera": Key(cameras, ("front", "left", "rear"))})
    caps = (Cap(most=2), Cap(key="camera", most=65))
    spec = SelectionSpec(budget=180, objectives=(Score(expression="first"), Diversity()), constraints=caps)

    def picked(budget: int, *caps: Cap) -> list[str]:
        wider = SelectionSpec(budget=budget, objectives=spec.objectives, constraints=caps)
        return [pick.frame_id for pick in select(pool, wider).picks]

    own = set(picked(180, *caps))
    asked = [name for name in picked(182, *caps) if name not in own][-1:]
    asked += [name for name in picked(180, Cap(most=4), caps[1]) if name not in own][-1:]
    asked += [name for name in picked(180, caps[0], Cap(key="camera", most=70)) if name not in own][-1:]
    asked += [name for name in picked(220, Cap(most=5), Cap(key="camera", most=90)) if name not in own][-1:]
    named = set[str]()
    for frame_id in asked:
        heard: list[tuple[str, int, int]] = []
        answer = why(pool, spec, frame_id, lambda *told: heard.append(told))  # noqa: B023 - called at once
        found: list[Sequence[Change]] = [[change] for change in answer.changes]
        for changes in found or [answer.together]:
            assert changes
            assert admits(pool, with_changes(spec, changes), frame_id)
            named.update(change.name for change in changes)
            for cap in [
                change for change in changes if change.name.startswith("cap") and change.needed > change.now + 1
            ]:
                less = [replace(change, needed=change.needed - (change == cap)) for change in changes]
                assert not admits(pool, with_changes(spec, less), frame_id)
        assert len(heard) < spec.budget * (1 + (answer.selections - 1) / 2)
    assert named == {"budget", "cap session_id", "cap camera"}


ROWS = [
    frame("a", score=0.9),
    frame("b", score=0.8),
    frame("c", score=0.7, session="s-2"),
    frame("d", score=0.6, session="s-2", camera="rear"),
    frame("e", score=None),
    frame("f", city="Oslo"),
    frame("g", session="test"),
    frame("h", captured_at=None, session="s-3"),
    frame("i", embedding=[1.0]),
]
SPEC = SelectionSpec(
    budget=2,
    where="metadata.city IS NULL",
    labelled=Labelled(sessions=("test",)),
    objectives=(Score(),),
    constraints=(Cap(most=1),),
)


def test_a_cap_a_score_and_what_admits() -> None:
    store = FramesInDuckDB(ROWS)
    assert why_in_store(store, SPEC, "a").rank == 1
    capped = why_in_store(store, SPEC, "b")
    assert (capped.kept_out_by, capped.kept_out_at) == (("cap session_id",), 1)
    assert capped.changes == (Change("cap session_id", 1, 2),)
    lesser = why_in_store(store, msgspec.structs.replace(SPEC, constraints=()), "c")
    assert lesser.value == pytest.approx(0.7)
    assert lesser.last is not None
    assert lesser.last.frame_id == "b"
    assert lesser.changes == (Change("budget", 2, 3),)


def test_a_frame_that_waits_for_a_quota_is_told_so() -> None:
    quota = Quota(key="camera", value="rear", least=3)
    spec = msgspec.structs.replace(SPEC, budget=1, constraints=(quota,))
    answer = why_in_store(FramesInDuckDB(ROWS), spec, "a")
    assert (answer.kept_out_by, answer.kept_out_at) == (("quota camera = rear",), None)
    assert answer.changes == (Change("budget", 1, 2), Change("quota camera = rear", 3, 0))


@pytest.mark.parametrize(
    ("frame_id", "reason"),
    [
        *(("e", "no finite mutual_information.top"), ("f", "where"), ("g", "session left out")),
        *(("h", "no captured_at"), ("i", "no embedding")),
    ],
)
def test_a_frame_that_is_no_candidate_hears_the_reason_that_counts_it(frame_id: str, reason: str) -> None:
    spec = msgspec.structs.replace(SPEC, objectives=SelectionSpec().objectives, constraints=(Gap(),))
    assert why_in_store(FramesInDuckDB(ROWS), spec, frame_id).left_out == reason


def test_two_caps_that_have_to_give_together_are_told_so() -> None:
    rows = [frame("a", score=0.9), frame("b", score=0.8, session="s-2"), frame("c", score=0.7)]
    caps = (Cap(most=1), Cap(key="camera", most=1))
    spec = SelectionSpec(budget=3, objectives=(Score(),), constraints=caps)
    answer = why_in_store(FramesInDuckDB(rows), spec, "c")
    assert answer.changes == ()
    assert answer.together == (Change("cap session_id", 1, 2), Change("cap camera", 1, 3))
    assert describe_answer(answer).endswith("picked with cap session_id 2 (now 1) and cap camera 3 (now 1)")


def test_a_cap_may_have_to_grow_beyond_the_budget() -> None:
    rows = [frame(f"f-{n}", score=(9 - n) / 10) for n in range(5)]
    spec = SelectionSpec(budget=1, objectives=(Score(),), constraints=(Cap(most=1),))
    answer = why_in_store(FramesInDuckDB(rows), spec, "f-4")
    assert answer.together == (Change("cap session_id", 1, 5), Change("budget", 1, 5))


@given(st.integers(0, 300), st.data())
def test_of_a_long_way_a_place_is_found_whose_neighbour_does_not_admit(count: int, data: st.DataObject) -> None:
    admitting = data.draw(st.sets(st.integers(0, max(0, count - 1)), max_size=count))
    place = first_place(count, admitting.__contains__)
    if place is None:
        assert not admitting & {*range(min(count, 16)), count - 1}
    else:
        assert place.number in admitting
        assert place.number - 1 not in admitting
    assert first_place(count, lambda k: k >= count // 3) == (Place(count // 3, surely_first=True) if count else None)


@given(st.integers(17, 300), st.integers(1, 30))
def test_a_search_that_has_to_end_tells_of_no_more_than_it_knows(count: int, at_most: int) -> None:
    tried: list[int] = []

    def admits(place: int) -> bool | None:
        if len(tried) == at_most:
            return None
        tried.append(place)
        return place >= count // 2

    place = first_place(count, admits)
    if place is None:
        assert not any(number >= count // 2 for number in tried)
    else:
        assert place.number == min(number for number in tried if number >= count // 2)
        assert place.surely_first == (place.number - 1 in tried or not place.number)


def test_a_cap_that_has_to_grow_far_grows_no_further() -> None:
    rows = [frame(f"f-{n:02d}", score=1 - n / 100) for n in range(60)]
    spec = SelectionSpec(budget=60, objectives=(Score(),), constraints=(Cap(most=2),))
    assert why_in_store(FramesInDuckDB(rows), spec, "f-47").changes == (Change("cap session_id", 2, 48),)


def test_a_gap_a_threshold_and_a_guard_are_relaxed_to_the_frames_own_figures(tmp_path: Path) -> None:
    rows = [
        frame("a", score=0.9, captured_at=datetime(2026, 1, 2, 0, 0, 10, tzinfo=UTC)),
        frame("b", score=0.8, captured_at=datetime(2026, 1, 2, 0, 0, 13, tzinfo=UTC)),
        frame("c", score=0.2, captured_at=datetime(2026, 1, 2, 0, 1, tzinfo=UTC)),
        frame("d", score=0.7, captured_at=datetime(2026, 1, 2, 0, 2, tzinfo=UTC), embedding=[3.0, 3.5]),
        frame("test", session="test", embedding=[3.0, 3.0]),
    ]
    constraints = (
        Gap(least_s=5),
        Threshold(expression="round(mutual_information.top, 4)", least=0.5),
        Guard(sessions=("test",), least=1.0),
    )
    spec = SelectionSpec(
        budget=4, labelled=Labelled(sessions=("test",)), objectives=(Score(),), constraints=constraints
    )
    store = FramesInDuckDB(rows)
    assert why_in_store(store, spec, "b").changes == (Change("gap session_id", 5, 3),)
    (threshold,) = why_in_store(store, spec, "c").changes
    assert threshold.now == 0.5
    assert threshold.needed == pytest.approx(0.2)
    assert why_in_store(store, spec, "d").changes == (Change("guard", 1.0, 0.5),)


def test_what_is_tried_is_told_while_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Searching(every_s=0) as searching:
        answer = why_in_store(FramesInDuckDB(ROWS), SPEC, "b", searching.show)
    told = capsys.readouterr().err.splitlines()
    assert told[0].endswith("as it is: pick 1 of 2")
    assert "   cap session_id " in told[-1]
    assert told[-1].endswith(": pick 2 of 2")
    assert answer.changes == (Change("cap session_id", 1, 2),)


def test_a_search_that_found_nothing_says_how_far_it_went() -> None:
    rows = [frame(f"f-{n}", score=(9 - n) / 10) for n in range(9)]
    spec = SelectionSpec(budget=2, objectives=(Score(),), constraints=(Cap(most=1),))
    pool = read_pool(FramesInDuckDB(rows), spec)
    line = describe_answer(why(pool, spec, "f-8", work=100))
    assert line.endswith(
        "; nothing that was tried admits it up to budget 9 (now 2) and cap session_id 9 (now 1): 2 selections, and no "
        "more, for it would take too long"
    )
    assert why(pool, spec, "f-8").together == (Change("cap session_id", 1, 9), Change("budget", 2, 9))


def test_strangers_are_refused() -> None:
    with pytest.raises(SelectionError, match="'x': expected a scored frame of the store, got none"):
        why_in_store(FramesInDuckDB(ROWS), SPEC, "x")
    spec = msgspec.structs.replace(SPEC, round_robin=RoundRobin())
    assert why_in_store(FramesInDuckDB([*ROWS, frame("j", car=None)]), spec, "j").left_out == (
        "no finite mutual_information.by_class.car"
    )


def test_the_value_is_the_product_of_the_factors() -> None:
    answer = why_in_store(FramesInDuckDB(ROWS), msgspec.structs.replace(SPEC, constraints=()), "d")
    assert answer.value == math.prod(answer.factors.values())
