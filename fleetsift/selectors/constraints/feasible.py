"""The constraints of a selection together: who may still be picked, and what kept the others out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fleetsift.schemas.selection import Constraint, Guard, Quota, SelectionSpec, Threshold
from fleetsift.selectors.constraints.quotas import Debts
from fleetsift.selectors.constraints.rules import RULES, Admission, Rule
from fleetsift.selectors.pools.pool import Flags, Pool


class Room:
    """Who may be picked next.

    A frame that a constraint keeps out stays out. While quotas are owed, others have to wait for those who pay them:
    `stage` counts how often such a wait has ended for somebody; within a stage, `open` only shrinks.
    """

    def __init__(self, pool: Pool, spec: SelectionSpec, like: Room | None = None) -> None:
        """Begin with earlier picks counted; raises SelectionError where the pool lacks what a constraint asks for.

        like: another room of this pool, of which rules that no pick changes are taken over.
        """
        fixed: Mapping[Constraint, Rule] = {} if like is None else like.fixed
        rules = {
            entry: fixed.get(entry) or RULES[type(entry)](pool, entry)
            for entry in spec.constraints
            if not isinstance(entry, Quota)
        }
        self.fixed: Mapping[Constraint, Rule] = {
            entry: rule for entry, rule in rules.items() if isinstance(entry, Threshold | Guard)
        }
        self.taken: list[int] = []  # the picks, in order
        self._rules = list(rules.values())
        self._debts = Debts(pool, [entry for entry in spec.constraints if isinstance(entry, Quota)])
        self._free = pool.candidates  # (N,) neither picked nor kept out
        self._picked = ~self._free
        self._settle(pool, spec)
        for rule in self._rules:
            self._free &= ~rule.shut
        self.open = self._debts.whose_turn(self._free)  # (N,) who may be picked next
        self.stage = 0

    def take(self, row: int) -> Admission:
        """Pick a candidate, and hear what the constraints say of it; raises ValueError where it may not be picked."""
        if not self.open[row]:
            raise ValueError(f"Room.take: expected a row that may be picked, got {row}")
        self.taken.append(row)
        self._picked[row] = True
        self._free[row] = False
        admission = Admission()
        for rule in self._rules:
            kept_out = rule.take(row, admission)
            rule.shut[kept_out] = True
            self._free[kept_out] = False
        admission.owed.update(self._debts.pay(row))
        if self.open is not self._free:
            waited = ~self.open
            self.open = self._debts.whose_turn(self._free)
            self.stage += int((self.open & waited).any())
        return admission

    def _settle(self, pool: Pool, spec: SelectionSpec) -> None:
        """Count earlier picks everywhere, labelled frames where the specification says so."""
        counts_in = spec.labelled.counts_in
        for rule in self._rules:
            for row in [*(pool.labelled if rule.counting in counts_in else ()), *pool.earlier]:
                rule.shut[rule.take(int(row), Admission())] = True
        self._debts.settle(np.concatenate([pool.labelled, pool.earlier]) if "quotas" in counts_in else pool.earlier)

    def owed(self) -> dict[str, int]:
        """How many picks each quota lacks, where it lacks any."""
        return {name: count for name, count in self._debts.owed.items() if count}

    def kept_out_by(self, row: int) -> tuple[str, ...]:
        """The names of the constraints that keep a candidate out."""
        return tuple(rule.name for rule in self._rules if rule.shut[row])

    def waits_for(self, row: int) -> tuple[str, ...]:
        """The quotas that are paid before it is a free frame's turn."""
        return () if self.open[row] or self.kept_out_by(row) else tuple(self.owed())

    def blocked_by(self) -> dict[str, int]:
        """How many candidates each constraint alone keeps out, and `a and b`, how many both keep out."""
        return self._kept_out(~self._picked)

    def owed_for(self) -> dict[str, dict[str, int]]:
        """By quota that does not hold: how many that would pay it each constraint keeps out, and how many are free.

        Those that are free, under `budget`, are the next picks of a larger one.
        """
        found: dict[str, dict[str, int]] = {}
        for name in self.owed():
            pays = self._debts.pays(name)
            free = int((pays & self._free).sum())
            found[name] = self._kept_out(pays & ~self._picked) | ({"budget": free} if free else {})
        return found

    def _kept_out(self, among: Flags) -> dict[str, int]:
        """How many of some candidates (N,) each constraint alone keeps out, and `a and b`, how many both keep out."""
        pattern = np.zeros(len(among), np.int64)  # (N,) bit i: rule i keeps this candidate out
        for i, rule in enumerate(self._rules):
            pattern |= rule.shut.astype(np.int64) << i
        counts: dict[str, int] = {}
        for bits, count in zip(*np.unique(pattern[among], return_counts=True), strict=True):
            names = [rule.name for i, rule in enumerate(self._rules) if bits >> i & 1]
            if names:
                counts[" and ".join(names)] = int(count)
        return counts
