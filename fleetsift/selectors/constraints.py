"""The constraints of a selection together: who may still be picked, and what kept the others out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetsift.schemas.selection import Constraint
from fleetsift.selectors.pool import Pool
from fleetsift.selectors.rules import RULES, Admission


class Room:
    """Who may be picked next; it shrinks with every pick, and a frame that is kept out stays out."""

    def __init__(self, pool: Pool, constraints: Sequence[Constraint]) -> None:
        """Begin with nothing picked; raises SelectionError where the pool lacks what a constraint asks for."""
        self._rules = [RULES[type(constraint)](pool, constraint) for constraint in constraints]
        self._picked = np.zeros(len(pool), np.bool_)
        self.open = np.ones(len(pool), np.bool_)  # (N,) who may be picked next

    def take(self, row: int) -> Admission:
        """Pick a candidate, and hear what the constraints say of it; raises ValueError where it may not be picked."""
        if not self.open[row]:
            raise ValueError(f"Room.take: expected a row that may be picked, got {row}")
        self._picked[row] = True
        self.open[row] = False
        admission = Admission()
        for rule in self._rules:
            kept_out = rule.take(row, admission)
            rule.shut[kept_out] = True
            self.open[kept_out] = False
        return admission

    def blocked_by(self) -> dict[str, int]:
        """How many candidates each constraint alone keeps out, and `a and b`, how many both keep out."""
        pattern = np.zeros(len(self.open), np.int64)  # (N,) bit i: rule i keeps this candidate out
        for i, rule in enumerate(self._rules):
            pattern |= rule.shut.astype(np.int64) << i
        counts: dict[str, int] = {}
        for bits, count in zip(*np.unique(pattern[~self._picked], return_counts=True), strict=True):
            names = [rule.name for i, rule in enumerate(self._rules) if bits >> i & 1]
            if names:
                counts[" and ".join(names)] = int(count)
        return counts
