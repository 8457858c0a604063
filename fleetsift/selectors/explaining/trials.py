"""A selection tried under other rules and budgets, for little more than what differs from those tried before.

Picks are prefix-stable: a larger budget goes on where a smaller one ended. And picks under a wider cap are the same
until the narrower one first closes: what was picked before that is taken over, with the distances that go with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fleetsift.schemas.selection import Cap, SelectionSpec
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.objectives.factors import Worth
from fleetsift.selectors.pools.pool import Pool, Rows
from fleetsift.selectors.select import pick_batch

DISTANCES_KEPT = 3  # trials whose distances are kept, a dozen bytes a frame each
A_TRIAL = 100  # a trial costs as much as so many picks before it makes any

Heard = Callable[[str, int, int], None]  # what is tried, picks so far, picks at most


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a frame under some rules."""

    rank: int | None
    kept_out_by: tuple[str, ...]  # the first rules that did, or the quotas it waited for at the end


@dataclass(slots=True)
class Run:
    """A selection as far as it was followed."""

    spec: SelectionSpec
    trial: Trial
    settled: bool  # whether a larger budget would change nothing
    rows: Rows  # (P,) its picks, in order
    worth: Worth | None  # what candidates were worth about then; None under round-robin, and where it was let go


class Trials:
    """Selections from one pool, in each of which one frame is looked for."""

    def __init__(self, pool: Pool, row: int, own: Run, room: Room, heard: Heard, work: int) -> None:
        """own: the selection that is asked about; room: how it ended; work: how many picks are made for others."""
        self._pool, self._row, self._room, self._heard = pool, row, room, heard
        self._own, self._runs = own, [own]
        self._work_left = work
        self.ended = False  # whether one was not tried, because there was no work left

    @property
    def count(self) -> int:
        """How many were made, besides the selection that is asked about."""
        return len(self._runs) - 1

    def try_out(self, spec: SelectionSpec, what: str) -> Trial | None:
        """Select, until the frame is picked or kept out, or the batch ends; None where no work is left.

        what: what differs, for whoever waits.
        """
        begun, begins_alike = self._own, 0.0
        for run in self._runs:
            alike = self._alike(run, spec)
            ended_alike = alike == math.inf and (run.settled or run.spec.budget == spec.budget)
            if (ended_alike and len(run.rows) <= spec.budget) or _picked_by(run, min(alike, spec.budget)):
                return run.trial
            if alike > begins_alike and (run.worth is not None or spec.round_robin is not None):
                begun, begins_alike = run, alike
        if self._work_left <= 0:
            self.ended = True
            return None
        run = self._follow(spec, what, begun, int(min(begins_alike, len(begun.rows), spec.budget - 1)))
        self._runs.append(run)
        for earlier in self._runs[1:-DISTANCES_KEPT]:
            earlier.worth = None
        return run.trial

    def _follow(self, spec: SelectionSpec, what: str, begun: Run, shared: int) -> Run:
        """Go on from the first picks of another run."""
        room = Room(self._pool, spec, like=self._room)
        for row in begun.rows[:shared].tolist():
            room.take(row)
        worth = None if begun.worth is None else begun.worth.rewound(begun.rows[:shared])
        self._work_left -= A_TRIAL

        def ended(trial: Trial, *, settled: bool) -> Run:
            return Run(spec, trial, settled, np.array(room.taken, np.int64), worth)

        if kept_out_by := room.kept_out_by(self._row):
            return ended(Trial(None, kept_out_by), settled=True)
        waits_for = room.waits_for(self._row)
        for pick in pick_batch(self._pool, spec, room, worth):
            self._work_left -= 1
            self._heard(what, pick.rank, spec.budget)
            if room.taken[-1] == self._row:
                return ended(Trial(pick.rank, ()), settled=True)
            if kept_out_by := room.kept_out_by(self._row):
                return ended(Trial(None, kept_out_by), settled=True)
            if pick.rank < spec.budget:
                waits_for = room.waits_for(self._row)
        return ended(Trial(None, waits_for), settled=len(room.taken) < spec.budget)

    def _alike(self, run: Run, spec: SelectionSpec) -> float:
        """How many first picks a run shares with a selection by other rules; infinite where the rules did the same."""
        if len(run.spec.constraints) != len(spec.constraints):
            return 0
        alike = math.inf
        for one, other in zip(run.spec.constraints, spec.constraints, strict=True):
            if one != other:
                if not (isinstance(one, Cap) and isinstance(other, Cap) and one.key == other.key):
                    return 0
                alike = min(alike, self._until_full(run, one.key, min(one.most, other.most)))
        return alike

    def _until_full(self, run: Run, key: str, most: int) -> float:
        """How many picks of a run are made until a value of a key has so many, infinite where none comes to that."""
        pool, counts_in = self._pool, run.spec.labelled.counts_in
        before = np.concatenate([pool.labelled if "caps" in counts_in else pool.labelled[:0], pool.earlier])
        codes = pool.key(key).codes[np.concatenate([before, run.rows])]
        order = np.argsort(codes, kind="stable")
        first_of_its_value = np.searchsorted(codes[order], codes[order])
        full = order[(np.arange(len(order)) - first_of_its_value == most - 1) & (codes[order] >= 0)]
        return max(0, int(full.min()) + 1 - len(before)) if len(full) else math.inf


def _picked_by(run: Run, picks: float) -> bool:
    """Whether the frame is among the first so many picks of a run."""
    return run.trial.rank is not None and run.trial.rank <= picks
