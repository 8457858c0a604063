"""Why a frame was not picked: what is said is true, and what would admit it does, and nothing less does."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Cap, Constraint, Gap, Labelled, Quota, RoundRobin, Score, SelectionSpec
from fleetsift.selectors.pool import Pool
from fleetsift.selectors.select import select
from fleetsift.selectors.why import Change, why, why_in_store
from tests.selectors.drawn_pools import pools, round_robins, specs
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame
from tests.selectors.plain import candidates, kept_out_by, plain_factors


def admits(pool: Pool, spec: SelectionSpec, frame_id: str) -> bool:
    return frame_id in [pick.frame_id for pick in select(pool, spec).picks]


def with_cap(spec: SelectionSpec, name: str, most: int) -> SelectionSpec:
    def raised(constraint: Constraint) -> Constraint:
        chosen = isinstance(constraint, Cap) and constraint.name == name
        return msgspec.structs.replace(constraint, most=most) if chosen else constraint

    return msgspec.structs.replace(spec, constraints=tuple(map(raised, spec.constraints)))


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
    changes = {change.name: change for change in answer.changes}
    admitting = [
        budget
        for budget in range(1, len(pool) + 1)
        if admits(pool, msgspec.structs.replace(spec, budget=budget), frame_ids[row])
    ]
    assert changes.pop("budget", None) == (Change("budget", spec.budget, admitting[0]) if admitting else None)
    for cap in spec.constraints:
        if isinstance(cap, Cap) and cap.name in kept_out_by(pool, spec, row, rows):
            larger = range(cap.most + 1, spec.budget + 1)
            needed = next((n for n in larger if admits(pool, with_cap(spec, cap.name, n), frame_ids[row])), None)
            assert changes.pop(cap.name, None) == (Change(cap.name, cap.most, needed) if needed else None)
    assert not changes


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
    assert answer.changes == (Change("budget", 1, 2),)


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
