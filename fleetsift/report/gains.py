"""What a batch has that its pool has not: numbers of the batch beside what they are to be compared with."""

from __future__ import annotations

import numpy as np

from fleetsift.report.facts import Gain
from fleetsift.report.pool import Pool
from fleetsift.report.wording import name, unit
from fleetsift.schemas.selection import Score

_MEANS = """
SELECT avg(x), avg(x) FILTER (WHERE picked), avg(x) FILTER (WHERE picked_by_other) FROM pool
"""

MOST_COMPARED = 2_000  # frames whose distances to each other are measured


def score_gains(pool: Pool) -> list[Gain]:
    """The batch's mean of what frames are ranked by, and of what its objectives ask for, beside the pool's."""
    quantity, objectives = pool.quantity(), pool.selection.spec.objectives
    asked = (objective.expression for objective in objectives if isinstance(objective, Score))
    gains = []
    for expression in dict.fromkeys((f"{quantity}.mean", f"{quantity}.top", *asked)):
        frames, picked, theirs = pool.ask_one(_MEANS, x=expression)
        if frames is not None and picked is not None:
            gains.append(Gain(name(expression), unit(expression), frames, picked, "mean of the pool", theirs))
    return gains


def distance_gain(pool: Pool) -> Gain | None:
    """How far apart the picks are, beside as many frames drawn at random; None where there is nothing to measure.

    The distance is Euclidean, in the embedding, from a frame to the nearest other of its group; of those, the median.
    The draw goes by a hash of the frame_id: the same report shows the same number.
    """
    picks = [pick.frame_id for pick in pool.selection.picks[:MOST_COMPARED]]
    drawn = "SELECT frame_id FROM pool ORDER BY md5(frame_id), frame_id LIMIT $5"
    draw = [frame_id for (frame_id,) in pool.ask(drawn, len(picks))]
    apart, apart_drawn = _median_nearest(pool, picks), _median_nearest(pool, draw)
    if apart is None or apart_drawn is None:
        return None
    theirs = [pick.frame_id for pick in pool.other.picks[:MOST_COMPARED]] if pool.other else []
    return Gain(
        "Distance to the nearest other pick",
        "",
        apart_drawn,
        apart,
        f"{len(draw):,} {pool.selection.spec.unit}s drawn at random",
        _median_nearest(pool, theirs) if theirs else None,
    )


def _median_nearest(pool: Pool, frame_ids: list[str]) -> float | None:
    query = (
        "SELECT embedding FROM pool WHERE frame_id IN (SELECT unnest($5::VARCHAR[])) "
        "AND embedding IS NOT NULL ORDER BY frame_id"
    )
    points = np.array([embedding for (embedding,) in pool.ask(query, frame_ids)], dtype=np.float64)
    if len(points) < 2:
        return None
    lengths = (points**2).sum(axis=1)
    squares = lengths[:, None] + lengths[None, :] - 2 * points @ points.T
    np.fill_diagonal(squares, np.inf)
    return float(np.median(np.sqrt(np.maximum(squares.min(axis=1), 0))))
