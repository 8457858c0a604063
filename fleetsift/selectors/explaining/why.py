"""Why a frame was not picked, and the least that would have to change for it to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from fleetsift.schemas.selection import Pick, SelectionSpec
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.explaining.relaxing import Relaxing
from fleetsift.selectors.explaining.steps import Change
from fleetsift.selectors.explaining.trials import Heard, Run, Trial, Trials
from fleetsift.selectors.objectives.factors import Worth
from fleetsift.selectors.pools.expressions import ScoredFrames
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.pools.reading import read_pool, reason_left_out
from fleetsift.selectors.select import pick_batch

WORK, LEAST_WORK = 12, 50_000  # batches, or picks where that is more


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one frame: picked, left out of the pool, kept out by a rule, or worth less than the last pick."""

    frame_id: str
    rank: int | None = None  # where it was picked
    left_out: str | None = None  # why it was no candidate
    kept_out_by: tuple[str, ...] = ()  # the first rule that kept it out, several where they began at once; or quotas
    kept_out_at: int | None = None  # the rank of the pick with which that began, 0 from the beginning; None for quotas
    factors: dict[str, float] = field(default_factory=dict)  # of a free frame, when the last pick was made
    value: float | None = None  # their product
    last: Pick | None = None  # the pick it had to be better than
    changes: tuple[Change, ...] = ()  # each alone admits it
    together: tuple[Change, ...] = ()  # where none does alone: several that do together, of which none could be less
    tried: tuple[Change, ...] = ()  # the farthest that the budget and each rule were changed
    selections: int = 0  # how many were made to know this
    ended: bool = False  # whether more would have been tried, had it not become too much


def silent(_what: str, _picked: int, _of: int) -> None:
    """Hear of a selection, and say nothing."""


def why_in_store(store: ScoredFrames, spec: SelectionSpec, frame_id: str, heard: Heard = silent) -> Answer:
    """Explain a frame of a store; raises what reading and selecting raise, and SelectionError for a frame not there."""
    reason = reason_left_out(store, spec, frame_id)
    if reason is not None:
        return Answer(frame_id, left_out=reason)
    pool = read_pool(store, spec)
    if pc.index(pool.frame_id, frame_id).as_py() < 0:
        return Answer(frame_id, left_out="no embedding")  # whether one is whole shows beside the others
    return why(pool, spec, frame_id, heard)


def why(pool: Pool, spec: SelectionSpec, frame_id: str, heard: Heard = silent, work: int | None = None) -> Answer:
    """Explain a candidate, by selecting again; every change was found by applying it.

    heard: told of every pick that is made. work: how many are made to find a change, a dozen batches where it is not
    said; a selection makes only those that come after it may differ from one before.
    Raises ValueError where the frame is no candidate, and SelectionError as `select` does.
    """
    row = pc.index(pool.frame_id, frame_id).as_py()
    if row < 0:
        raise ValueError(f"why: expected a candidate, got {frame_id!r}; ask `why_in_store` why it is none")
    room, worth = Room(pool, spec), None if spec.round_robin else Worth(pool, spec)
    kept_out_by, kept_out_at, last = room.kept_out_by(row), 0, None
    waited_for = room.waits_for(row)
    for pick in pick_batch(pool, spec, room, worth):
        heard("as it is", pick.rank, spec.budget)
        if pick.frame_id == frame_id:
            return Answer(frame_id, rank=pick.rank)
        last = pick
        if not kept_out_by:
            kept_out_by, kept_out_at = room.kept_out_by(row), pick.rank
        if pick.rank == spec.budget:
            break  # before the worth of others falls by the last pick
        waited_for = room.waits_for(row)
    blocking = room.kept_out_by(row) or waited_for
    factors = None if blocking or last is None else _factors(pool, row, last, worth)
    settled = bool(room.kept_out_by(row)) or len(room.taken) < spec.budget
    own = Run(spec, Trial(None, blocking), settled, np.array(room.taken, np.int64), worth)
    trials = Trials(pool, row, own, room, heard, max(LEAST_WORK, WORK * spec.budget) if work is None else work)
    relaxing = Relaxing(pool, spec, row, trials)
    changes = tuple(relaxing.change_one(blocking))
    return Answer(
        frame_id,
        kept_out_by=kept_out_by or waited_for,
        kept_out_at=kept_out_at if kept_out_by else None,
        factors=factors or {},
        value=None if factors is None else math.prod(factors.values()),
        last=None if factors is None else last,
        changes=changes,
        together=() if changes else relaxing.change_several(),
        tried=relaxing.farthest,
        selections=1 + trials.count,
        ended=trials.ended,
    )


def _factors(pool: Pool, row: int, last: Pick, worth: Worth | None) -> dict[str, float]:
    """What a candidate was worth when the last pick was made; under round-robin, to the class whose turn it was."""
    if worth is None:
        return {score: float(pool.class_scores[last.turn or ""][row]) for score in last.factors}
    worth.bring_up_to_date(np.array([row]))
    return worth.factors(row)
