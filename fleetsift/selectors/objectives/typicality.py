"""How typical of its pool a candidate is: 1 / mean distance to its nearest neighbours (Hacohen et al. 2022).

Neighbours are sought among a bounded number of the pool's frames, so that work grows with the pool and not with its
square, and nothing is kept but a few distances a thread. A drawn subset keeps the order of densities, not their scale.
"""

from __future__ import annotations

import numpy as np

from fleetsift.selectors.compiled import compile_cached
from fleetsift.selectors.objectives.diversity import TILE, in_tiles, share_out, squared_distances
from fleetsift.selectors.pools.pool import F32, F64, Rows


def typicality(points: F32, among: Rows, neighbours: int) -> F64:
    """1 / mean Euclidean distance of N points (N, D) to their nearest neighbours among some of them, (N,).

    Nobody is a neighbour of itself; where there are fewer others, those are taken. A point whose neighbours all lie on
    it is as typical as the most typical of the others; where there are no others, everybody has 1.
    """
    means = np.empty(len(points))
    tiles = in_tiles(points[among])
    share_out(
        lambda i, j: mean_distances(points[i:j], i, tiles, among, neighbours, means[i:j]),
        len(points),
        pairs=len(points) * len(among),
    )
    apart = means > 0
    means[~apart] = means[apart].min() if apart.any() else 1.0
    return 1 / means


@compile_cached
def mean_distances(points: F32, first: int, centres: F32, rows: Rows, neighbours: int, means: F64) -> None:
    """Means (N,) over the nearest of centres in tiles (tiles, D, TILE), which are `rows`; points begin at row `first`.

    A point that has no neighbour gets 0.
    """
    sums = np.empty(TILE, np.float32)
    nearest = np.empty(neighbours, np.float32)  # squared, increasing
    for i in range(points.shape[0]):
        nearest[:] = np.inf
        for t in range(centres.shape[0]):
            squared_distances(points[i], centres[t], sums)
            for k in range(min(TILE, rows.shape[0] - t * TILE)):
                if sums[k] < nearest[-1] and rows[t * TILE + k] != first + i:
                    place = neighbours - 1
                    while place > 0 and nearest[place - 1] > sums[k]:
                        nearest[place] = nearest[place - 1]
                        place -= 1
                    nearest[place] = sums[k]
        total, count = 0.0, 0
        for squared in nearest:
            if squared < np.inf:
                total += np.sqrt(np.float64(squared))
                count += 1
        means[i] = total / max(count, 1)
