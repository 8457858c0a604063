"""Why a frame was not picked: what is said is true, and what would admit it does, and nothing less does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.console import describe_answer
from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    Cap,
    Constraint,
    Gap,
    Guard,
    Labelled,
    Quota,
    RoundRobin,
    Score,
    SelectionSpec,
    Threshold,
)
from fleetsift.selectors.explaining.relaxing import Change, first_place
from fleetsift.selectors.explaining.why import why, why_in_store
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.select import select
from tests.selectors.drawn_pools import pools, round_robins, specs
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
        assert place in admitting
        assert place - 1 not in admitting
    assert first_place(count, lambda k: k >= count // 3) == (count // 3 if count else None)


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
