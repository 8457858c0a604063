"""Class round-robin (Haussmann et al., "Scalable Active Learning for Object Detection", 2020): classes take turns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Pick, SelectionSpec
from fleetsift.selectors.constraints import Room
from fleetsift.selectors.pool import Pool


def take_turns(pool: Pool, spec: SelectionSpec, room: Room) -> Iterator[Pick]:
    """Yield, class after class, the feasible frame with the class's highest score, of equals the lowest frame_id.

    Objectives have no say here. Raises SelectionError where the specification or the pool has no classes.
    """
    if spec.round_robin is None or not pool.class_scores:
        raise SelectionError("selection.round_robin: expected classes to take turns, got none; read the pool for it")
    rankings = {name: np.argsort(-scores, kind="stable") for name, scores in pool.class_scores.items()}
    turns, stage = cycle(rankings), -1
    for rank in range(1, spec.budget + 1):
        if stage != room.stage:  # within a stage who is kept out stays out: each class walks down its ranking once
            walks, stage = {name: iter(ranking) for name, ranking in rankings.items()}, room.stage
        turn = next(turns)
        row = next((int(row) for row in walks[turn] if room.open[row]), None)
        if row is None:
            return
        value = float(pool.class_scores[turn][row])
        admission = room.take(row)
        yield Pick(
            rank=rank,
            frame_id=pool.frame_id[row].as_py(),
            session_id=pool.session_id[row].as_py(),
            uri=pool.uri[row].as_py(),
            value=value,
            factors={spec.round_robin.score: value},
            nearest=None,
            distance=None,
            turn=turn,
            room_left=admission.room_left,
            keys=admission.keys,
            apart_s=admission.apart_s,
            owed=admission.owed,
        )
