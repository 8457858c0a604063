"""Deals partitions to workers: evenly by load, and taking from nobody what may as well stay there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Share = tuple[int, ...]

SLACK = 0.2  # of the mean load: who is so near to it keeps what it has, as every change of a share is a pause


def share_out(loads: Mapping[int, int], workers: int, held: Sequence[Share] = ()) -> list[Share]:
    """Deal partitions, each with its load, to so many workers; none has none.

    loads: by partition, in references to score. held: what some workers have now, those first that should rather stay.
    What nobody holds goes, the heaviest first, to whoever has least. Then single partitions move from whoever has most
    to whoever has least, until both are within `SLACK` of the mean, or no move evens them out by so much.
    """
    weights = {partition: load + 1 for partition, load in loads.items()}  # an idle partition costs something too
    loose, piles = dict(weights), [_Pile() for _ in range(min(workers, len(weights)))]
    if not piles:
        return []
    for pile, had in zip(piles, held, strict=False):
        for partition in had:
            pile.add(partition, loose.pop(partition, 0))
    for partition in sorted(loose, key=lambda p: -loose[p]):
        min(piles, key=_Pile.rank).add(partition, loose[partition])
    mean = sum(weights.values()) / len(piles)
    while _level(piles, mean):
        pass
    return [tuple(pile.weights) for pile in piles]


@dataclass
class _Pile:
    """What one worker is to have: the weight of each partition, in the order in which it came, and their sum."""

    weights: dict[int, int] = field(default_factory=dict)
    load: int = 0

    def rank(self) -> tuple[int, int]:
        return self.load, len(self.weights)

    def add(self, partition: int, weight: int) -> None:
        if weight:
            self.weights[partition] = weight
            self.load += weight

    def give(self, partition: int, other: _Pile) -> None:
        weight = self.weights.pop(partition)
        self.load -= weight
        other.add(partition, weight)


def _level(piles: list[_Pile], mean: float) -> bool:
    """Move a partition to the lightest pile, from the heaviest that can give one; returns whether that was needed."""
    lightest, *others = sorted(piles, key=_Pile.rank)
    for giver in reversed(others):
        if lightest.load >= (1 - SLACK) * mean and giver.load <= (1 + SLACK) * mean:
            return False
        gap = giver.load - lightest.load
        most = gap - SLACK * mean if lightest.weights else gap - 1
        if fitting := [p for p, weight in giver.weights.items() if weight <= most]:
            giver.give(min(fitting, key=lambda p: abs(gap / 2 - giver.weights[p])), lightest)
            return True
    return False
