"""What would admit a frame that was not picked: the least changes of the rules, each found by applying it.

What is told of one rule alone is the first of its steps with which the frame is picked, and of a long way one with
which it is while with the step before it is not. Each step is a selection, which ends where the frame is picked or shut
out: a frame that a rule keeps out stays out. How many are made is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.explaining.steps import STEPS, Change, largest_budget
from fleetsift.selectors.explaining.trials import Trial, Trials
from fleetsift.selectors.pools.pool import Pool

IN_TURN = 16  # steps of a rule that are tried one after the other


@dataclass(frozen=True, slots=True)
class Place:
    """Where, on the way of a rule, a frame is admitted."""

    number: int
    surely_first: bool  # whether the place before it was tried, and does not admit; of few places, all before it


class Relaxing:
    """A specification whose rules are made weaker, step by step."""

    def __init__(self, pool: Pool, spec: SelectionSpec, row: int, trials: Trials) -> None:
        self._spec, self._trials = spec, trials
        self._steps = {i: list(STEPS[type(c)](pool, spec, row, c)) for i, c in enumerate(spec.constraints)}
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
