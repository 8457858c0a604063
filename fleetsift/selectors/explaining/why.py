"""Why a frame was not picked, and the least that would have to change for it to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from fleetsift.schemas.selection import Pick, SelectionSpec
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.explaining.relaxing import Change, change_one, change_several
from fleetsift.selectors.objectives.factors import Worth
from fleetsift.selectors.pools.expressions import ScoredFrames
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.pools.reading import read_pool, reason_left_out
from fleetsift.selectors.select import pick_batch


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


def why_in_store(store: ScoredFrames, spec: SelectionSpec, frame_id: str) -> Answer:
    """Explain a frame of a store; raises what reading and selecting raise, and SelectionError for a frame not there."""
    reason = reason_left_out(store, spec, frame_id)
    if reason is not None:
        return Answer(frame_id, left_out=reason)
    pool = read_pool(store, spec)
    if pc.index(pool.frame_id, frame_id).as_py() < 0:
        return Answer(frame_id, left_out="no embedding")  # whether one is whole shows beside the others
    return why(pool, spec, frame_id)


def why(pool: Pool, spec: SelectionSpec, frame_id: str) -> Answer:
    """Explain a candidate, by selecting again; every change was found by applying it.

    Costs one selection, one up to the budget that admits the frame, and for every step of a rule one up to where the
    frame is picked or kept out.
    Raises ValueError where the frame is no candidate, and SelectionError as `select` does.
    """
    row = pc.index(pool.frame_id, frame_id).as_py()
    if row < 0:
        raise ValueError(f"why: expected a candidate, got {frame_id!r}; ask `why_in_store` why it is none")
    room = Room(pool, spec)
    kept_out_by, kept_out_at = room.kept_out_by(row), 0
    picks: list[Pick] = []
    waited_for = room.waits_for(row)
    for pick in pick_batch(pool, spec, room):
        if pick.frame_id == frame_id:
            return Answer(frame_id, rank=pick.rank)
        picks.append(pick)
        if not kept_out_by:
            kept_out_by, kept_out_at = room.kept_out_by(row), pick.rank
        if len(picks) < spec.budget:
            waited_for = room.waits_for(row)
    blocking = room.kept_out_by(row) or waited_for
    changes = tuple(change_one(pool, spec, row, blocking))
    together = () if changes else change_several(pool, spec, row)
    if kept_out_by or waited_for:
        rank = kept_out_at if kept_out_by else None
        return Answer(frame_id, None, None, kept_out_by or waited_for, rank, changes=changes, together=together)
    factors = _factors(pool, spec, row, picks)
    value, last = math.prod(factors.values()), picks[-1] if picks else None
    return Answer(frame_id, factors=factors, value=value, last=last, changes=changes, together=together)


def _factors(pool: Pool, spec: SelectionSpec, row: int, picks: list[Pick]) -> dict[str, float]:
    """What a candidate was worth when the last pick was made."""
    if spec.round_robin is not None:
        return {spec.round_robin.score: float(pool.class_scores[picks[-1].turn or ""][row])}
    worth = Worth(pool, spec)
    for pick in picks[:-1]:
        worth.pick(pc.index(pool.frame_id, pick.frame_id).as_py())
    worth.bring_up_to_date(np.array([row]))
    return worth.factors(row)
