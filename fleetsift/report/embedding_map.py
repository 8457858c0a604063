"""The embeddings of pool and picks on a plane: the two directions in which the pool differs most.

Principal components by NumPy's SVD of a sample that a hash of the frame_ids draws, each turned so that its largest
entry is positive: the same report shows the same map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetsift.report.facts import Dot, EmbeddingMap
from fleetsift.report.pool import Pool

MOST_OF_POOL = 4_000  # dots; more hide each other
MOST_PICKS = 2_000
FLATTEST = 0.2  # height / width
MOST_FITTED = 1_500  # frames whose principal components are sought: time grows with their number

F64 = NDArray[np.float64]
Place = tuple[float, float]

_DRAWN = """
SELECT frame_id, embedding FROM pool
WHERE embedding IS NOT NULL AND NOT picked AND NOT picked_by_other ORDER BY md5(frame_id), frame_id LIMIT $5
"""
_NAMED = """
SELECT frame_id, embedding FROM {relation}
WHERE embedding IS NOT NULL AND frame_id IN (SELECT unnest({names}::VARCHAR[])) ORDER BY frame_id
"""


def embedding_map(pool: Pool) -> EmbeddingMap | None:
    """Lay out pool, picks and labelled frames; None where fewer than three frames have a usable embedding."""
    drawn = _vectors(pool.ask(_DRAWN, MOST_OF_POOL))
    ranks = {pick.frame_id: pick.rank for pick in pool.selection.picks[:MOST_PICKS]}
    theirs = {pick.frame_id for pick in pool.other.picks[:MOST_PICKS]} if pool.other else set[str]()
    picked = _vectors(pool.ask(_NAMED.format(relation="pool", names="$5"), sorted(ranks.keys() | theirs)))
    earlier = set(pool.selection.earlier[:MOST_PICKS])
    settled = sorted(earlier | set(sorted(pool.labelled)[:MOST_PICKS]))
    before = _vectors(pool.store.sql(_NAMED.format(relation="frames", names="$1"), [settled]).fetchall())
    everybody = [*drawn.values(), *picked.values()]
    size = max(map(len, everybody), default=0)
    if sum(len(vector) == size for vector in everybody) < 3 or not size:
        return None
    drawn, picked, before = ({k: v for k, v in some.items() if len(v) == size} for some in (drawn, picked, before))
    fitted = np.array([*drawn.values(), *picked.values()][:MOST_FITTED])
    centre, axes, explained = principal_plane(fitted)
    flat = (np.array([*drawn.values(), *picked.values(), *before.values()]) - centre) @ axes.T
    low, reach = flat.min(axis=0), np.ptp(flat, axis=0)
    width = max(float(reach[0]), 1e-12)
    height = max(FLATTEST, float(reach[1]) / width)
    middle = (height + float(reach[1]) / width) / 2
    places: list[Place] = [(float(x), middle - float(y)) for x, y in (flat - low) / width]
    first, last = len(drawn), len(drawn) + len(picked)
    dots = [
        Dot(*place, frame_id, ranks.get(frame_id), _side(frame_id in ranks, frame_id in theirs))
        for frame_id, place in zip(picked, places[first:last], strict=True)
    ]
    sides: dict[bool, list[Place]] = {True: [], False: []}
    for frame_id, place in zip(before, places[last:], strict=True):
        sides[frame_id in earlier].append(place)
    return EmbeddingMap(tuple(places[:first]), tuple(sides[False]), tuple(sides[True]), tuple(dots), height, explained)


def principal_plane(points: F64) -> tuple[F64, F64, float]:
    """The mean (D,) of N points (N, D), their two principal axes (2, D), and the share of variance along them.

    An axis points to where its largest entry is positive, so that a map is not mirrored from one machine to another.
    """
    centre: F64 = points.mean(axis=0)
    _, lengths, axes = np.linalg.svd(points - centre, full_matrices=False)
    axes = np.vstack([axes[:2], np.zeros((max(0, 2 - len(axes)), points.shape[1]))])
    largest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(largest < 0, -1.0, 1.0)[:, None]
    total = float((lengths**2).sum())
    return centre, axes, float((lengths[:2] ** 2).sum()) / total if total else 1.0


def _vectors(rows: list[tuple[Any, ...]]) -> dict[str, F64]:
    """The finite vectors by frame_id, in the order of the rows."""
    found = {frame_id: np.array(embedding, np.float64) for frame_id, embedding in rows}
    return {frame_id: vector for frame_id, vector in found.items() if len(vector) and np.isfinite(vector).all()}


def _side(ours: bool, theirs: bool) -> str:  # noqa: FBT001 - two sides of one question
    return "common" if ours and theirs else "batch" if ours else "other"
