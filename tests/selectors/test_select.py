"""Selection as a contract: on any pool, under any specification, what a batch may rely on."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    Balance,
    Cap,
    Diversity,
    Gap,
    Quota,
    Random,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
)
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.picking.greedy import pick_greedily
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.select import select
from tests.selectors.drawn_pools import encode, large_pool, names, pools, round_robins, specs
from tests.selectors.plain import (
    alike,
    candidates,
    counted,
    has_value,
    keeps_out,
    kept_out_by,
    plain_apart_s,
    plain_factors,
    plain_greedy,
    plain_margins,
    plain_nearest,
    plain_owed,
    plain_round_robin,
    quotas_of,
)


@given(pools(), specs(), st.integers(1, 20))
@settings(max_examples=250, deadline=None)
def test_the_picks_are_those_of_plain_greedy(pool: Pool, spec: SelectionSpec, front_size: int) -> None:
    picks = pick_greedily(pool, spec, Room(pool, spec), front_size=front_size)
    assert [pick.frame_id for pick in picks] == plain_greedy(pool, spec)


@given(pools(), st.one_of(specs(), round_robins()))
@settings(max_examples=150, deadline=None)
def test_constraints_hold_and_nothing_is_picked_twice(pool: Pool, spec: SelectionSpec) -> None:
    selection = select(pool, spec)
    captured_us = dict(zip(pool.frame_id.to_pylist(), pool.moments().tolist(), strict=True))
    picked = [pick.frame_id for pick in selection.picks]
    rows = [pool.frame_id.to_pylist().index(frame_id) for frame_id in picked]
    assert len(set(picked)) == len(picked) <= spec.budget
    assert selection.shortfall == spec.budget - len(picked)
    assert set(picked) <= set(pool.frame_id.to_pylist())
    lacking = Counter({quota.name: quota.least for quota in quotas_of(spec)})
    settled = counted(pool, spec, "quotas", rows)
    lacking.subtract(quota.name for quota in quotas_of(spec) for row in settled if has_value(pool, quota, row))
    assert selection.owed == +lacking
    for constraint in spec.constraints:
        if not isinstance(constraint, Cap | Gap):
            assert not any(keeps_out(pool, spec, constraint, row, []) for row in rows)
            continue
        together: dict[str, list[int]] = {}  # value -> when its picks were captured, in microseconds
        for pick in selection.picks:
            if constraint.key in pick.keys:
                together.setdefault(pick.keys[constraint.key], []).append(captured_us[pick.frame_id])
        for moments in together.values():
            if isinstance(constraint, Cap):
                assert len(moments) <= constraint.most
            else:
                assert all(b - a >= constraint.least_s * 1e6 for a, b in pairwise(sorted(moments)))


def largest_batch(pool: Pool, spec: SelectionSpec, rows: list[int], picked: list[int]) -> int:
    """How many of some candidates can be picked at most after others, every set of them tried, up to the budget."""
    rows = [row for row in rows if not kept_out_by(pool, spec, row, picked)]
    if not rows or len(picked) == spec.budget:
        return len(picked)
    with_first = largest_batch(pool, spec, rows[1:], [*picked, rows[0]])
    if with_first == spec.budget:
        return with_first
    return max(with_first, largest_batch(pool, spec, rows[1:], picked))


@given(pools(most=8), specs(), st.sampled_from(["session_id", "camera", "nested"]), st.tuples(*[st.integers(1, 4)] * 2))
@settings(max_examples=100, deadline=None)
def test_the_budget_is_met_wherever_caps_on_nested_keys_let_it(
    pool: Pool, spec: SelectionSpec, key: str, most: tuple[int, int]
) -> None:
    """One cap, or caps on a key and on groups of its values; thresholds, guards and quotas beside them."""
    sessions = pool.keys["session_id"]
    vehicles = encode([f"v-{sessions.values[code] in ('s-a', 's-b')}" for code in sessions.codes])
    pool = replace(pool, keys={**pool.keys, "vehicle": vehicles})
    caps = [Cap(key="session_id", most=most[0]), Cap(key="vehicle", most=most[1])]
    others = [c for c in spec.constraints if not isinstance(c, Cap | Gap)]
    constraints = (*others, *(caps if key == "nested" else [Cap(key=key, most=most[0])]))
    spec = msgspec.structs.replace(spec, constraints=constraints)
    assert len(select(pool, spec).picks) == largest_batch(pool, spec, candidates(pool), [])


@given(pools(most=8), st.one_of(specs(), round_robins()))
@settings(max_examples=150, deadline=None)
def test_whatever_the_rules_nobody_can_be_added_and_no_batch_is_larger_by_more_than_is_promised(
    pool: Pool, spec: SelectionSpec
) -> None:
    """Several caps are an intersection of matroids, and a gap lets one pick stand in the way of two."""
    picked = [pool.frame_id.to_pylist().index(pick.frame_id) for pick in select(pool, spec).picks]
    rest = [row for row in candidates(pool) if row not in picked]
    assert len(picked) == spec.budget or all(kept_out_by(pool, spec, row, picked) for row in rest)
    ways = sum(1 if isinstance(c, Cap) else 2 for c in spec.constraints if isinstance(c, Cap | Gap))
    assert max(1, ways) * len(picked) >= largest_batch(pool, spec, candidates(pool), [])


@given(pools(), st.one_of(specs(), round_robins()), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_a_smaller_budget_gives_the_first_picks_of_a_larger_one(pool: Pool, spec: SelectionSpec, budget: int) -> None:
    smaller = msgspec.structs.replace(spec, budget=min(budget, spec.budget))
    assert select(pool, smaller).picks == select(pool, spec).picks[: smaller.budget]


@given(pools(), specs())
@settings(max_examples=150, deadline=None)
def test_receipts_are_true(pool: Pool, spec: SelectionSpec) -> None:
    diverse = any(isinstance(objective, Diversity) for objective in spec.objectives)
    rows = {frame_id: row for row, frame_id in enumerate(pool.frame_id.to_pylist())}
    picked: list[int] = []
    owed = plain_owed(pool, spec, picked)
    for rank, pick in enumerate(select(pool, spec).picks, 1):
        row = rows[pick.frame_id]
        assert pick.rank == rank
        assert (pick.session_id, pick.uri) == (pool.session_id[row].as_py(), pool.uri[row].as_py())
        assert pick.factors == plain_factors(pool, spec, row, picked)
        assert pick.value == math.prod(pick.factors.values())
        assert (pick.nearest, pick.distance) == (plain_nearest(pool, row, picked) if diverse else (None, None))
        assert pick.turn is None
        before = counted(pool, spec, "gaps", picked)
        apart_s = {gap.key: plain_apart_s(pool, gap, row, before) for gap in spec.constraints if isinstance(gap, Gap)}
        assert pick.apart_s == {key: seconds for key, seconds in apart_s.items() if seconds is not None}
        assert pick.margins == plain_margins(pool, spec, row)
        picked.append(row)
        paid = [quota.name for quota in quotas_of(spec) if quota.name in owed and has_value(pool, quota, row)]
        owed = plain_owed(pool, spec, picked)
        assert pick.owed == {name: owed.get(name, 0) for name in paid}
        keys = {c.key: pool.keys[c.key] for c in spec.constraints if isinstance(c, Cap | Gap)}
        assert pick.keys == {name: key.values[key.codes[row]] for name, key in keys.items() if key.codes[row] >= 0}
        assert pick.room_left == {
            cap.key: cap.most - len(alike(pool, cap.key, row, counted(pool, spec, "caps", picked)))
            for cap in spec.constraints
            if isinstance(cap, Cap) and cap.key in pick.keys
        }


@given(pools(), st.one_of(specs(), round_robins()))
@settings(max_examples=100, deadline=None)
def test_the_shortfall_names_what_caused_it(pool: Pool, spec: SelectionSpec) -> None:
    selection = select(pool, spec)
    rows = {frame_id: row for row, frame_id in enumerate(pool.frame_id.to_pylist())}
    picked = [rows[pick.frame_id] for pick in selection.picks]
    rest = [kept_out_by(pool, spec, row, picked) for row in candidates(pool) if row not in picked]
    assert selection.blocked_by == Counter(" and ".join(names) for names in rest if names)
    if selection.shortfall:
        assert sum(selection.blocked_by.values()) == selection.pool_size - len(picked)
    assert set(selection.owed_for) == set(selection.owed)
    for quota in quotas_of(spec):
        if quota.name in selection.owed:
            unpicked = [row for row in candidates(pool) if row not in picked and has_value(pool, quota, row)]
            binding = [kept_out_by(pool, spec, row, picked) or ["budget"] for row in unpicked]
            assert selection.owed_for[quota.name] == Counter(" and ".join(names) for names in binding)


@given(pools(), specs(), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_a_quota_that_only_the_budget_binds_is_paid_by_the_next_pick(
    pool: Pool, spec: SelectionSpec, budget: int
) -> None:
    others = tuple(constraint for constraint in spec.constraints if not isinstance(constraint, Quota))
    spec = msgspec.structs.replace(
        spec, budget=budget, constraints=(*others, Quota(key="camera", value="front", least=9))
    )
    selection = select(pool, spec)
    free = {name for name, binding in selection.owed_for.items() if "budget" in binding}
    more = select(pool, msgspec.structs.replace(spec, budget=spec.budget + 1)).picks[spec.budget :]
    assert not free or (more and free & more[0].owed.keys())


@given(pools(), round_robins())
@settings(max_examples=150, deadline=None)
def test_classes_take_turns_as_in_a_plain_loop(pool: Pool, spec: SelectionSpec) -> None:
    picks = select(pool, spec).picks
    assert [(pick.turn, pick.frame_id) for pick in picks] == plain_round_robin(pool, spec)
    for pick in picks:
        row = pool.frame_id.to_pylist().index(pick.frame_id)
        assert pick.value == pool.class_scores[pick.turn or ""][row]
        assert pick.factors == {"mutual_information.by_class": pick.value}


def test_threads_and_the_size_of_the_front_change_no_pick() -> None:
    pool = large_pool()
    static = (Score(expression="first"), Random(strength=0.1), Similarity(frames=("given",)))
    spec = SelectionSpec(
        budget=120,
        objectives=(*static, Typicality(neighbours=5, among=500), Diversity(), Balance(key="session_id", strength=0.5)),
        constraints=(Cap(most=2), Gap(least_s=0.5)),
    )
    processors = sorted(os.sched_getaffinity(0))
    batches = []
    for count in range(1, len(processors) + 1):
        os.sched_setaffinity(0, processors[:count])
        batches.append(select(pool, spec).picks)
    for front_size in (50, 700, len(pool)):
        batches.append(tuple(pick_greedily(pool, spec, Room(pool, spec), front_size=front_size)))
    assert len(batches[0]) == 120
    assert all(batch == batches[0] for batch in batches)


def test_the_first_centre_is_itself_in_the_batch() -> None:
    """Known mistake 8: a k-center that begins at a random point which is not in its result."""
    line = Pool("e", names("f", 5), names("s", 5), names("u", 5), embedding=np.arange(5, dtype=np.float32)[:, None])
    spec = SelectionSpec(budget=3, objectives=(Diversity(),), constraints=())
    picks = select(line, spec).picks
    assert [pick.frame_id for pick in picks] == ["f-000", "f-004", "f-002"]
    assert [pick.distance for pick in picks] == [None, 4.0, 2.0]
    assert picks[0].factors == {"diversity": 1.0}


def test_labelled_frames_are_the_first_centres() -> None:
    line = Pool(
        *("e", names("f", 7), names("s", 7), names("u", 7)),
        embedding=np.array([[0], [1], [0], [1], [2], [3], [4]], np.float32),
        labelled=np.array([0, 1]),
    )
    picks = select(line, SelectionSpec(budget=2, objectives=(Diversity(),), constraints=())).picks
    assert [(pick.frame_id, pick.nearest, pick.distance) for pick in picks] == [
        ("f-006", "f-001", 3.0),
        ("f-004", "f-001", 1.0),
    ]


def test_a_null_key_is_not_capped() -> None:
    pool = Pool("e", names("f", 6), names("s", 6), names("u", 6), keys={"camera": encode(["front"] * 3 + [None] * 3)})
    selection = select(pool, SelectionSpec(budget=6, objectives=(), constraints=(Cap(key="camera", most=1),)))
    assert [pick.frame_id for pick in selection.picks] == ["f-000", "f-003", "f-004", "f-005"]
    assert selection.blocked_by == {"cap camera": 2}


def test_a_gap_is_kept_to_the_microsecond() -> None:
    captured_us = np.array([0, 999_999, 1_000_000, 1_999_999, 2_000_000], np.int64)
    sessions = {"session_id": encode(["a"] * 5)}
    pool = Pool("e", names("f", 5), names("s", 5), names("u", 5), keys=sessions, captured_us=captured_us)
    selection = select(pool, SelectionSpec(budget=5, objectives=(), constraints=(Gap(least_s=1),)))
    assert [pick.frame_id for pick in selection.picks] == ["f-000", "f-002", "f-004"]
    assert [pick.apart_s for pick in selection.picks] == [{}, {"session_id": 1.0}, {"session_id": 1.0}]
    assert selection.blocked_by == {"gap session_id": 2}


@given(pools(), st.integers(1, 8), st.integers(1, 3), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_a_quota_holds_wherever_budget_and_cap_let_it(pool: Pool, least: int, most: int, budget: int) -> None:
    quota, cap = Quota(key="camera", value="rear", least=least), Cap(key="session_id", most=most)
    spec = SelectionSpec(budget=budget, objectives=(Score(expression="first"),), constraints=(quota, cap))
    rear = [row for row in candidates(pool) if has_value(pool, quota, row)]
    sessions = Counter(pool.keys["session_id"].codes[rear].tolist())
    taken = Counter(pool.keys["session_id"].codes[pool.earlier].tolist())
    feasible = min(budget, sum(min(max(0, most - taken[code]), count) for code, count in sessions.items()))
    lacks = max(0, least - feasible - sum(has_value(pool, quota, row) for row in pool.earlier.tolist()))
    assert select(pool, spec).owed == ({quota.name: lacks} if lacks else {})


def test_a_frame_that_pays_two_quotas_comes_before_a_better_one_that_pays_one() -> None:
    keys = {"city": encode(["Oslo", "Oslo", "Bonn", "Bonn"]), "night": encode(["no", "yes", "yes", "no"])}
    scores = {"x": np.array([9.0, 1.0, 8.0, 7.0])}
    pool = Pool("e", names("f", 4), names("s", 4), names("u", 4), keys=keys, scores=scores)
    quotas = (Quota(key="city", value="Oslo", least=1), Quota(key="night", value="yes", least=1))
    spec = SelectionSpec(budget=3, objectives=(Score(expression="x"),), constraints=quotas)
    picks = select(pool, spec).picks
    assert [pick.frame_id for pick in picks] == ["f-001", "f-000", "f-002"]
    assert [pick.owed for pick in picks] == [{"quota city = Oslo": 0, "quota night = yes": 0}, {}, {}]


@pytest.mark.parametrize(("least", "most"), [(None, None), (2.0, 1.0), (float("nan"), None)])
def test_a_threshold_has_a_bound(least: float | None, most: float | None) -> None:
    with pytest.raises(ValueError, match="threshold: expected least, most or both in order"):
        Threshold(expression="x", least=least, most=most)


def test_a_negative_score_is_refused() -> None:
    pool = Pool("e", names("f", 3), names("s", 3), names("u", 3), scores={"x": np.array([1.0, -1.0, -2.0])})
    spec = SelectionSpec(objectives=(Score(expression="x"),), constraints=())
    with pytest.raises(SelectionError, match=r"score 'x': expected 0 or more, 2 of 3 candidates have less; take great"):
        select(pool, spec)


def test_a_power_beyond_float64_is_refused() -> None:
    pool = Pool("e", names("f", 1), names("s", 1), names("u", 1), scores={"x": np.array([1e200])})
    spec = SelectionSpec(objectives=(Score(expression="x", strength=2),), constraints=())
    with pytest.raises(SelectionError, match="expected finite powers, got infinity; lower the strength 2"):
        select(pool, spec)


def test_what_a_pool_was_read_without_is_named() -> None:
    pool = Pool("e", names("f", 1), names("s", 1), names("u", 1))
    with pytest.raises(SelectionError, match=r"Pool.keys: expected 'session_id', got \[\]; read the pool again"):
        select(pool, SelectionSpec())
    with pytest.raises(SelectionError, match=r"Pool.scores: expected 'mutual_information.top'"):
        select(pool, SelectionSpec(constraints=()))
    keyed = Pool("e", names("f", 1), names("s", 1), names("u", 1), keys={"session_id": encode(["a"])})
    with pytest.raises(SelectionError, match=r"Pool\.captured_us: expected moments, got none; read the pool for a gap"):
        select(keyed, SelectionSpec(constraints=(Gap(),)))
    with pytest.raises(SelectionError, match=r"Pool\.embedding: expected vectors, got none"):
        select(pool, SelectionSpec(objectives=(Diversity(),), constraints=()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"frame_id": pa.array(["b", "a"])}, "Pool.frame_id: expected distinct names in increasing order"),
        ({"frame_id": pa.array(["a", "a"])}, "Pool.frame_id: expected distinct names in increasing order"),
        ({"frame_id": pa.array(["a", None])}, "Pool.frame_id: expected strings, got string with 1 nulls"),
        ({"uri": names("u", 3)}, "Pool.uri: expected 2 entries, got 3"),
        ({"scores": {"x": np.array([1.0, np.nan])}}, "expected finite numbers"),
        ({"scores": {"x": np.ones(2, np.float32)}}, "expected C-contiguous float64"),
        ({"class_scores": {"road": np.ones(3)}}, "expected C-contiguous float64"),
        ({"captured_us": np.ones(2)}, "expected C-contiguous int64"),
        ({"keys": {"k": encode(["a"])}}, "expected 2 codes, got 1"),
        ({"embedding": np.ones((2, 4), np.float32).T}, "expected C-contiguous float32"),
        ({"embedding": np.array([[1], [np.inf]], np.float32)}, "a distance in float32"),
        ({"embedding": np.array([[1], [1e30]], np.float32)}, "a distance in float32"),
    ],
)
def test_a_pool_is_checked_once(change: dict[str, object], complaint: str) -> None:
    good = {"ensemble_id": "e", "frame_id": names("f", 2), "session_id": names("s", 2), "uri": names("u", 2)}
    with pytest.raises(ValueError, match=complaint):
        Pool(**(good | change))


def test_entries_that_a_receipt_could_not_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="constraints: expected 'cap camera' once, got it 2 times"):
        SelectionSpec(constraints=(Cap(key="camera"), Gap(key="camera"), Cap(key="camera", most=3)))
    with pytest.raises(ValueError, match="objectives: expected 'diversity' once, got it 2 times"):
        SelectionSpec(objectives=(Diversity(), Score(), Diversity(strength=2)))
