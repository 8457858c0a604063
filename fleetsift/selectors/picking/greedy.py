"""Greedy selection: again and again the feasible candidate with the largest product of its factors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fleetsift.schemas.selection import Pick, SelectionSpec
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.objectives.factors import Worth
from fleetsift.selectors.picking.receipts import write_receipt
from fleetsift.selectors.pools.pool import Pool, Rows

FRONT = 4096  # candidates that are kept up to date between two choices of them


def pick_greedily(
    pool: Pool, spec: SelectionSpec, room: Room, worth: Worth | None = None, front_size: int = FRONT
) -> Iterator[Pick]:
    """Yield picks until the budget or the room is spent; of equal products the lowest frame_id is picked.

    Exact, though most picks look at a front of candidates only. Values only fall (distances shrink, shares fill, caps
    close): while the best of the front is not behind the best that was left outside, it is the best of all.
    worth: has counted what the room has taken, where that is not nothing; it counts a pick after it was yielded.
    `front_size` changes the work, never a pick.
    """
    worth = Worth(pool, spec) if worth is None else worth
    while len(room.taken) < spec.budget and room.open.any():
        stage = room.stage
        front, bound = _front(worth, np.flatnonzero(room.open), front_size)
        worth.watch(front)
        while len(room.taken) < spec.budget and room.stage == stage and room.open[front].any():
            values = np.where(room.open[front], worth.of(front), -np.inf)
            best = int(values.argmax())  # the first of equals, and rows are in the order of frame_id
            row, value = int(front[best]), float(values[best])
            if (value, -row) < bound:
                break
            factors, (nearest, distance) = worth.factors(row), worth.nearest_centre(row)
            admission = room.take(row)
            rank = len(room.taken)
            yield write_receipt(pool, row, rank, admission, value, factors=factors, nearest=nearest, distance=distance)
            worth.pick(row)
            if rank == 1:
                break  # the first pick may be the first centre, and only from there on distances fall


def _front(worth: Worth, rows: Rows, size: int) -> tuple[Rows, tuple[float, float]]:
    """The best of some rows, in their order, and the (value, -row) that nobody left outside exceeds.

    What is not up to date is worth no more than it seems: who seems worth less than the best are is not looked at.
    """
    if len(rows) <= size:
        worth.bring_up_to_date(rows)
        return rows, (-np.inf, -np.inf)
    values, least, level, seeming = worth.of(rows), -np.inf, np.inf, size
    while least < level:
        level = float(np.partition(values, -seeming)[-seeming])
        near = np.flatnonzero(values >= level)
        worth.bring_up_to_date(rows[near])
        values[near] = worth.of(rows[near])
        least = float(np.partition(values, -size)[-size])
        seeming = min(4 * seeming, len(rows))
    inside = values > least
    at_edge = np.flatnonzero(values == least)[: size - int(inside.sum())]
    inside[at_edge] = True
    return rows[inside], (least, -float(rows[at_edge[-1]]))
