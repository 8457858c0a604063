"""What would admit a frame that was not picked: the least changes of the rules, each found by applying it.

A rule is relaxed in steps, the least first: a cap by one place, a gap to the next time that the frame is apart from
another of its value, a threshold or a guard to the frame's own figure, a quota by one pick. What is told of one rule
alone is the first of its steps with which the frame is picked, and of a long way one with which it is while with the
step before it is not. Each step is a selection, which ends where the frame is picked or shut out: a frame that a rule
keeps out stays out. How many are made is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from fleetsift.schemas.selection import Cap, Constraint, Gap, Guard, Quota, SelectionSpec, Threshold
from fleetsift.selectors.explaining.trials import Trial, Trials
from fleetsift.selectors.objectives.diversity import nearest_squared
from fleetsift.selectors.pools.pool import Pool

MORE_PICKS = 1_000  # budgets are tried up to so many picks above the specification's
IN_TURN = 16  # steps of a rule that are tried one after the other


@dataclass(frozen=True, slots=True)
class Change:
    """Another budget, or another number in one constraint."""

    name: str  # `budget`, or the constraint's name
    now: float
    needed: float  # 0 for a gap or a quota that has to go
    surely_least: bool = True  # False where the search ended before it knew that the step before this is too little


@dataclass(frozen=True, slots=True)
class Step:
    """One constraint made weaker; None where it has to go."""

    constraint: Constraint | None
    change: Change


@dataclass(frozen=True, slots=True)
class Place:
    """Where, on the way of a rule, a frame is admitted."""

    number: int
    surely_first: bool  # whether the place before it was tried, and does not admit; of few places, all before it


class Relaxing:
    """A specification whose rules are made weaker, step by step."""

    def __init__(self, pool: Pool, spec: SelectionSpec, row: int, trials: Trials) -> None:
        self._spec, self._trials = spec, trials
        self._steps = {i: list(_STEPS[type(c)](pool, spec, row, c)) for i, c in enumerate(spec.constraints)}
        self.largest_budget = largest_budget(pool, spec)
        self._farthest: dict[str, Change] = {}

    @property
    def farthest(self) -> tuple[Change, ...]:
        """The farthest that each rule and the budget were changed."""
        return tuple(self._farthest.values())

    def change_one(self, blocking: Collection[str]) -> Iterator[Change]:
        """The least budget, and the least change of each rule with which a frame is picked, of those that block it."""
        trial = self._try_out({}, self.largest_budget)
        if trial is not None and trial.rank is not None:
            yield Change("budget", self._spec.budget, trial.rank)
        for i, constraint in enumerate(self._spec.constraints):
            steps = self._steps[i]
            if constraint.name in blocking and steps:
                self._admits({i: len(steps) - 1})  # what others begin with, and a cap that nothing fills is tried once
                place = first_place(len(steps), lambda k: self._admits({i: k}))  # noqa: B023 - called at once
                if place is not None:
                    yield replace(steps[place.number].change, surely_least=place.surely_first)

    def change_several(self) -> tuple[Change, ...]:
        """Changes that admit a frame together, where no one of them could be less; none where nothing admits it.

        Whatever keeps the frame out is relaxed, by ever longer strides, until nothing does; then each is taken back as
        far as it goes.
        """
        found = self._relax_all()
        if found is None:
            return ()
        places, budget = found
        surely: dict[int, bool] = {}
        before: dict[int, int] = {}
        while before != places:  # where one gives back, another may be able to
            before = dict(places)
            for i, place in before.items():
                others = {j: other for j, other in places.items() if j != i}
                if self._admits(others, budget):
                    places = others
                    continue
                nearer = first_place(place + 1, lambda k: self._admits({**others, i: k}, budget))  # noqa: B023
                places[i] = place if nearer is None else nearer.number
                surely[i] = nearer is not None and nearer.surely_first
        trial = self._try_out(places, budget)
        rank = budget if trial is None or trial.rank is None else trial.rank
        more = [Change("budget", self._spec.budget, rank)] if rank > self._spec.budget else []
        changes = (replace(self._steps[i][places[i]].change, surely_least=surely[i]) for i in sorted(places))
        return (*changes, *more)

    def _relax_all(self) -> tuple[dict[int, int], int] | None:
        """How far each rule is relaxed, and the budget, when the frame is picked; None where that was not found."""
        places: dict[int, int] = {}
        budget = self._spec.budget
        while (trial := self._try_out(places, budget)) is not None:
            if trial.rank is not None:
                return places, budget
            blocking = [i for i, c in enumerate(self._spec.constraints) if c.name in trial.kept_out_by]
            further = {i: min(2 * places.get(i, -1) + 2, len(self._steps[i]) - 1) for i in blocking if self._steps[i]}
            if not blocking and budget < self.largest_budget:
                budget = self.largest_budget
            elif further.items() <= places.items():
                return None
            places = places | further
        return None

    def _admits(self, places: Mapping[int, int], budget: int | None = None) -> bool | None:
        """Whether a frame is picked with some rules made weaker; None where no more is tried."""
        trial = self._try_out(places, budget or self._spec.budget)
        return None if trial is None else trial.rank is not None

    def _try_out(self, places: Mapping[int, int], budget: int) -> Trial | None:
        steps = {i: self._steps[i][place] for i, place in places.items()}
        weaker = [steps[i].constraint if i in steps else entry for i, entry in enumerate(self._spec.constraints)]
        constraints = tuple(constraint for constraint in weaker if constraint is not None)
        changes = [step.change for step in steps.values()]
        if budget > self._spec.budget:
            changes.append(Change("budget", self._spec.budget, budget))
        trial = self._trials.try_out(
            msgspec.structs.replace(self._spec, constraints=constraints, budget=budget),
            " and ".join(f"{change.name} {change.needed:.10g}" for change in changes) or "as it is",
        )
        if trial is not None:
            for change in changes:
                farthest = self._farthest.setdefault(change.name, change)
                if abs(change.needed - change.now) > abs(farthest.needed - farthest.now):
                    self._farthest[change.name] = change
        return trial


def first_place(count: int, admits: Callable[[int], bool | None]) -> Place | None:
    """The first of some places that admits; of many, one that does where the one before it does not.

    The first IN_TURN are tried one by one, those behind them by strides that double and then halve. Where `admits`
    says None, that is all that can be known.
    """
    for number in range(min(count, IN_TURN)):
        admitted = admits(number)
        if admitted is None:
            return None
        if admitted:
            return Place(number, surely_first=True)
    below = min(count, IN_TURN) - 1
    while below < count - 1:
        number = min(2 * below + 1, count - 1)
        admitted = admits(number)
        if admitted is None:
            return None
        if admitted:
            break
        below = number
    else:
        return None
    while number - below > 1:
        middle = (below + number) // 2
        admitted = admits(middle)
        if admitted is None:
            return Place(number, surely_first=False)
        below, number = (below, middle) if admitted else (middle, number)
    return Place(number, surely_first=True)


def largest_budget(pool: Pool, spec: SelectionSpec) -> int:
    """The largest budget that is tried."""
    return max(spec.budget, min(len(pool), spec.budget + MORE_PICKS))


def _raise_cap(pool: Pool, spec: SelectionSpec, _row: int, cap: Cap) -> Iterator[Step]:
    codes = pool.key(cap.key).codes
    settled = len(pool.labelled) + len(pool.earlier)
    enough = min(int(np.bincount(codes[codes >= 0]).max(initial=0)), settled + largest_budget(pool, spec))
    for most in range(cap.most + 1, enough + 1):  # a cap that no value fills is none
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
