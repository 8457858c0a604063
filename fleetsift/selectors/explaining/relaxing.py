"""What would admit a frame that was not picked: the least changes of the rules, each found by applying it.

A rule is relaxed in steps, the least first: a cap by one place, a gap to the next time that the frame is apart from
another of its value, a threshold or a guard to the frame's own figure, a quota by one pick. What is told of one rule
alone is the first of its steps with which the frame is picked, and of a long way one with which it is while with the
step before it is not. Each step is a selection of its own, which ends where
the frame is picked or shut out: a frame that a rule keeps out stays out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fleetsift.schemas.selection import Cap, Constraint, Gap, Guard, Quota, SelectionSpec, Threshold
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.objectives.diversity import nearest_squared
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.select import pick_batch

MORE_PICKS = 1_000  # budgets are tried up to so many picks above the specification's
IN_TURN = 16  # steps of a rule that are tried one after the other


@dataclass(frozen=True, slots=True)
class Change:
    """Another budget, or another number in one constraint."""

    name: str  # `budget`, or the constraint's name
    now: float
    needed: float  # 0 for a gap or a quota that has to go


@dataclass(frozen=True, slots=True)
class Step:
    """One constraint made weaker; None where it has to go."""

    constraint: Constraint | None
    change: Change


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a frame under some rules."""

    rank: int | None
    kept_out_by: tuple[str, ...]  # the first rules that did, or the quotas it waited for at the end


def try_out(pool: Pool, spec: SelectionSpec, row: int) -> Trial:
    """Select, until the frame is picked or kept out, or the batch ends."""
    room, frame_id = Room(pool, spec), pool.frame_id[row].as_py()
    waits_for = room.waits_for(row)
    if kept_out_by := room.kept_out_by(row):
        return Trial(None, kept_out_by)
    for pick in pick_batch(pool, spec, room):
        if pick.frame_id == frame_id:
            return Trial(pick.rank, ())
        if kept_out_by := room.kept_out_by(row):
            return Trial(None, kept_out_by)
        if pick.rank < spec.budget:
            waits_for = room.waits_for(row)
    return Trial(None, waits_for)


def change_one(pool: Pool, spec: SelectionSpec, row: int, blocking: Collection[str]) -> Iterator[Change]:
    """The least budget, and the least change of each rule with which a frame is picked, of those that block it."""
    rank = try_out(pool, msgspec.structs.replace(spec, budget=largest_budget(pool, spec)), row).rank
    if rank is not None:
        yield Change("budget", spec.budget, rank)
    for i, constraint in enumerate(spec.constraints):
        if constraint.name in blocking:
            steps = list(_STEPS[type(constraint)](pool, spec, row, constraint))
            place = first_place(len(steps), lambda k: _admits(pool, spec, row, {i: steps[k]}))  # noqa: B023 - called at once
            if place is not None:
                yield steps[place].change


def change_several(pool: Pool, spec: SelectionSpec, row: int) -> tuple[Change, ...]:
    """Changes that admit a frame together, where no one of them could be less; none where nothing admits it.

    Whatever keeps the frame out is relaxed, by ever longer strides, until nothing does; then each is taken back as far
    as it goes.
    """
    steps = {i: list(_STEPS[type(c)](pool, spec, row, c)) for i, c in enumerate(spec.constraints)}
    places: dict[int, int] = {}  # constraint -> how far it is relaxed
    budget = spec.budget

    def relaxed() -> dict[int, Step]:
        return {i: steps[i][place] for i, place in places.items()}

    while (trial := try_out(pool, _with(spec, relaxed(), budget), row)).rank is None:
        blocking = [i for i, c in enumerate(spec.constraints) if c.name in trial.kept_out_by]
        further = {i: min(2 * places.get(i, -1) + 2, len(steps[i]) - 1) for i in blocking if steps[i]}
        if not blocking and budget < largest_budget(pool, spec):
            budget = largest_budget(pool, spec)
        elif further.items() <= places.items():
            return ()
        places |= further
    before: dict[int, int] = {}
    while before != places:  # where one gives back, another may be able to
        before = dict(places)
        for i in before:
            del places[i]
            if not _admits(pool, spec, row, relaxed(), budget):
                others = relaxed()
                found = first_place(
                    before[i] + 1,
                    lambda k: _admits(pool, spec, row, {**others, i: steps[i][k]}, budget),  # noqa: B023
                )
                places[i] = before[i] if found is None else found
    rank = try_out(pool, _with(spec, relaxed(), budget), row).rank or budget
    more = [Change("budget", spec.budget, rank)] if rank > spec.budget else []
    return (*(relaxed()[i].change for i in sorted(places)), *more)


def first_place(count: int, admits: Callable[[int], bool]) -> int | None:
    """The first of some places that admits; of many, one that does where the one before it does not.

    The first IN_TURN are tried one by one, those behind them by strides that double and then halve.
    """
    for place in range(min(count, IN_TURN)):
        if admits(place):
            return place
    below = min(count, IN_TURN) - 1
    while below < count - 1:
        place = min(2 * below + 1, count - 1)
        if admits(place):
            break
        below = place
    else:
        return None
    while place - below > 1:
        middle = (below + place) // 2
        below, place = (below, middle) if admits(middle) else (middle, place)
    return place


def largest_budget(pool: Pool, spec: SelectionSpec) -> int:
    """The largest budget that is tried."""
    return max(spec.budget, min(len(pool), spec.budget + MORE_PICKS))


def _with(spec: SelectionSpec, steps: Mapping[int, Step], budget: int | None = None) -> SelectionSpec:
    """The specification with some of its constraints made weaker."""
    weaker = [steps[i].constraint if i in steps else constraint for i, constraint in enumerate(spec.constraints)]
    constraints = tuple(constraint for constraint in weaker if constraint is not None)
    return msgspec.structs.replace(spec, constraints=constraints, budget=budget or spec.budget)


def _admits(pool: Pool, spec: SelectionSpec, row: int, steps: Mapping[int, Step], budget: int | None = None) -> bool:
    return try_out(pool, _with(spec, steps, budget), row).rank is not None


def _raise_cap(pool: Pool, _spec: SelectionSpec, _row: int, cap: Cap) -> Iterator[Step]:
    codes = pool.key(cap.key).codes
    enough = int(np.bincount(codes[codes >= 0]).max(initial=0))  # a cap that no value fills is none
    for most in range(cap.most + 1, enough + 1):
        yield Step(msgspec.structs.replace(cap, most=most), Change(cap.name, cap.most, most))


def _narrow_gap(pool: Pool, _spec: SelectionSpec, row: int, gap: Gap) -> Iterator[Step]:
    codes, captured_us = pool.key(gap.key).codes, pool.moments()
    alike = np.flatnonzero(codes == codes[row])
    apart_us = np.unique(np.abs(captured_us[alike[alike != row]] - captured_us[row]))[::-1]
    for least_us in apart_us[(apart_us > 0) & (apart_us < round(gap.least_s * 1e6))].tolist():
        least_s = least_us / 1e6
        yield Step(msgspec.structs.replace(gap, least_s=least_s), Change(gap.name, gap.least_s, least_s))
    yield Step(None, Change(gap.name, gap.least_s, 0))


def _widen_threshold(pool: Pool, _spec: SelectionSpec, row: int, threshold: Threshold) -> Iterator[Step]:
    value = float(pool.score(threshold.expression)[row])
    bound = "least" if threshold.least is not None and value < threshold.least else "most"
    now = getattr(threshold, bound)
    yield Step(msgspec.structs.replace(threshold, **{bound: value}), Change(threshold.name, now, value))


def _narrow_guard(pool: Pool, _spec: SelectionSpec, row: int, guard: Guard) -> Iterator[Step]:
    least = math.sqrt(nearest_squared(pool.vectors()[row : row + 1], pool.given_vectors(guard.name))[0])
    if least > 0:  # a frame of the test set itself stays out
        yield Step(msgspec.structs.replace(guard, least=least), Change(guard.name, guard.least, least))


def _lower_quota(_pool: Pool, _spec: SelectionSpec, _row: int, quota: Quota) -> Iterator[Step]:
    for least in range(quota.least - 1, 0, -1):
        yield Step(msgspec.structs.replace(quota, least=least), Change(quota.name, quota.least, least))
    yield Step(None, Change(quota.name, quota.least, 0))


_STEPS: Mapping[type[Constraint], Callable[[Pool, SelectionSpec, int, Any], Iterator[Step]]] = {
    Cap: _raise_cap,
    Gap: _narrow_gap,
    Threshold: _widen_threshold,
    Guard: _narrow_guard,
    Quota: _lower_quota,
}
