"""The selection as one call: from a pool, or from a store."""

from __future__ import annotations

from collections.abc import Iterator

from fleetsift.schemas.selection import Pick, Selection, SelectionSpec
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.objectives.factors import Worth
from fleetsift.selectors.picking.greedy import pick_greedily
from fleetsift.selectors.picking.round_robin import take_turns
from fleetsift.selectors.pools.expressions import ScoredFrames
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.pools.reading import read_pool


def select(pool: Pool, spec: SelectionSpec) -> Selection:
    """Pick a batch from a pool; the same pool and specification give the same picks, whatever the threads or machine.

    Raises SelectionError where the pool lacks what the specification asks for, or has a score below 0.
    """
    room = Room(pool, spec)
    picks = tuple(pick_batch(pool, spec, room))
    return Selection(
        spec=spec,
        ensemble_id=pool.ensemble_id,
        pool_size=int(pool.candidates.sum()),
        picks=picks,
        shortfall=spec.budget - len(picks),
        blocked_by=room.blocked_by(),
        owed=room.owed(),
        owed_for=room.owed_for(),
        left_out=dict(pool.left_out),
        earlier=pool.rounds,
        uncounted=dict(pool.uncounted),
    )


def pick_batch(pool: Pool, spec: SelectionSpec, room: Room, worth: Worth | None = None) -> Iterator[Pick]:
    """Yield the picks one after the other, from where the room stands; raises what `select` raises.

    worth: what candidates are worth there; without it, it is computed.
    """
    return pick_greedily(pool, spec, room, worth) if spec.round_robin is None else take_turns(pool, spec, room)


def select_batch(store: ScoredFrames, spec: SelectionSpec) -> Selection:
    """Read the pool of a specification from a store and pick from it; raises what `read_pool` and `select` raise."""
    return select(read_pool(store, spec), spec)
