"""Class round-robin (Haussmann et al., "Scalable Active Learning for Object Detection", 2020): classes take turns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Pick, SelectionSpec
from fleetsift.selectors.constraints.feasible import Room
from fleetsift.selectors.picking.rankings import Ranking
from fleetsift.selectors.picking.receipts import write_receipt
from fleetsift.selectors.pools.pool import Pool


def take_turns(pool: Pool, spec: SelectionSpec, room: Room) -> Iterator[Pick]:
    """Yield, class after class, the feasible frame with the class's highest score, of equals the lowest frame_id.

    Objectives have no say here; a selection that continues another goes on with the next class.
    Raises SelectionError where the specification or the pool has no classes.
    """
    if spec.round_robin is None or not pool.class_scores:
        raise SelectionError("selection.round_robin: expected classes to take turns, got none; read the pool for it")
    rankings = {name: Ranking(scores) for name, scores in pool.class_scores.items()}
    begin = (len(pool.rounds) + len(room.taken)) % len(rankings)
    turns, stage = islice(cycle(rankings), begin, None), -1
    while len(room.taken) < spec.budget:
        if stage != room.stage:  # within a stage who is kept out stays out: each class walks down its ranking once
            walks, stage = {name: iter(ranking) for name, ranking in rankings.items()}, room.stage
        turn = next(turns)
        row = next((row for row in walks[turn] if room.open[row]), None)
        if row is None:
            return
        value = float(pool.class_scores[turn][row])
        admission, factors = room.take(row), {spec.round_robin.score: value}
        yield write_receipt(pool, row, len(room.taken), admission, value, factors=factors, turn=turn)
