"""How like the nearest of some given frames a candidate is, in the embedding; always between 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fleetsift.schemas.selection import Measure
from fleetsift.selectors.objectives.diversity import nearest_squared
from fleetsift.selectors.pools.pool import F32, F64

AT_ONCE = 65_536  # candidates whose unit vectors are held


def closeness(points: F32, given: F32) -> F64:
    """1 / (1 + Euclidean distance) of N points (N, D) to the nearest of K given vectors (K, D), (N,)."""
    return 1 / (1 + np.sqrt(nearest_squared(points, given)))


def alignment(points: F32, given: F32) -> F64:
    """(1 + cosine) / 2 of N points (N, D) with the best aligned of K given vectors (K, D), (N,).

    The vector 0 has no direction: its cosine with any other counts as 0.
    """
    directions, lengths = _directions(given)
    directions = np.ascontiguousarray(directions[lengths > 0])
    aligned = np.full(len(points), 0.5)
    for start in range(0, len(points) if len(directions) else 0, AT_ONCE):
        block, lengths = _directions(points[start : start + AT_ONCE])
        # Of unit vectors, |a - b|² = 2 - 2 cos.
        found = np.clip(1 - nearest_squared(block, directions) / 4, 0, 1)
        aligned[start : start + AT_ONCE] = np.where(lengths > 0, found, 0.5)
    return aligned


def _directions(vectors: F32) -> tuple[F32, F64]:
    """Vectors (K, D) at length 1, where they have a length, and their lengths (K,)."""
    lengths = np.sqrt(nearest_squared(vectors, np.zeros((1, vectors.shape[1]), np.float32)))
    return vectors / np.where(lengths > 0, lengths, 1).astype(np.float32)[:, None], lengths


MEASURES: Mapping[Measure, Callable[[F32, F32], F64]] = {"cosine": alignment, "distance": closeness}
