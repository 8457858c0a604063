"""Every candidate's distance to its nearest centre, exact, and the same to the last bit however it is computed.

A squared distance is a sum over the dimensions in their order, in float32, that no compiler may rearrange; vector units
work on many pairs side by side instead. The smallest of several does not depend on their order. So neither threads, nor
how many centres are seen at once, nor when, can change a pick. There is never an N x N matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fleetsift.selectors.compiled import compile_cached
from fleetsift.selectors.objectives.device import device_for
from fleetsift.selectors.pools.pool import F32, F64, NOBODY, Pool, Rows
from fleetsift.threads import thread_budget

I32 = NDArray[np.int32]

NO_CENTRE = -1
TILE = 64  # vectors side by side: with 128 dimensions a tile just fits the first cache
PAIRS_A_THREAD = 100_000  # about a millisecond: less is not worth a thread


class NearestCentre:
    """The nearest centre of N frames; labelled ones come first, then earlier picks, then picks, as they were added.

    Watched candidates see a new centre at once, the others when they are brought up to date. Until then theirs is an
    upper bound, for a distance only falls.
    """

    def __init__(self, pool: Pool) -> None:
        """Begin with the settled frames as centres; raises SelectionError where the pool has no embedding."""
        self._points, self._frame_id = pool.vectors(), pool.frame_id
        self._device = device_for(self._points)
        self._centres: list[int] = [*pool.labelled.tolist(), *pool.earlier.tolist()]
        self._settled = len(self._centres)
        self._tiles = in_tiles(self._points[self._centres])  # the last may have room for more
        self._seen = np.zeros(len(pool), np.int32)  # how many of the centres each frame has seen
        self._squared = np.full(len(pool), np.inf, np.float32)
        self._nearest = np.full(len(pool), NO_CENTRE, np.int32)
        self._watched, self._watched_tiles = NOBODY, in_tiles(self._points[NOBODY])
        if self._centres:
            self.bring_up_to_date(np.arange(len(pool)))

    @property
    def has_centre(self) -> bool:
        """Whether there is anything to be distant from."""
        return len(self._centres) > 0

    def watch(self, rows: Rows) -> None:
        """From here on, let these rows see every new centre at once; they are to be up to date."""
        self._seen[self._watched] = len(self._centres)
        self._watched, self._watched_tiles = rows, in_tiles(self._points[rows])

    def add(self, row: int) -> None:
        """Make a candidate a centre."""
        tile, place = divmod(len(self._centres), TILE)
        if tile == len(self._tiles):
            self._tiles = np.concatenate([self._tiles, np.empty((tile + 1, *self._tiles.shape[1:]), np.float32)])
        self._tiles[tile, :, place:] = self._points[row, :, None]
        see_one(self._watched_tiles, self._watched, self._points[row], len(self._centres), self._squared, self._nearest)
        self._centres.append(row)
        if len(self._centres) == 1:  # what is infinitely far is worth nothing that could be compared
            self.bring_up_to_date(np.arange(len(self._points)))

    def bring_up_to_date(self, rows: Rows) -> None:
        """Let these rows see the centres that they have not seen."""
        self._seen[self._watched] = len(self._centres)
        if self._device is not None:
            first = int(self._seen.min())
            self._device.see_all(self._points, self._points[self._centres[first:]], first, self._squared, self._nearest)
            self._seen[:] = len(self._centres)
        else:
            see_centres(self._points, rows, self._tiles, len(self._centres), self._seen, self._squared, self._nearest)

    def rewound(self, picks: Rows) -> NearestCentre:
        """As it was when its picks were the first of them, which are these; this one stays as it is.

        Whose nearest centre was there by then has it still; the others look at all of those again, in their turn.
        """
        earlier, count = copy(self), min(self._settled + len(picks), len(self._centres))
        earlier._centres = self._centres[:count]
        earlier._tiles = in_tiles(self._points[earlier._centres])
        earlier._watched, earlier._watched_tiles = NOBODY, in_tiles(self._points[NOBODY])
        still = self._nearest < count
        earlier._seen = np.where(still, np.minimum(self._seen, count), 0).astype(np.int32)
        earlier._squared = np.where(still, self._squared, np.float32(np.inf))
        earlier._nearest = np.where(still, self._nearest, np.int32(NO_CENTRE))
        some, arrays = min(count, TILE), (earlier._seen, earlier._squared, earlier._nearest)
        see_centres(self._points, np.flatnonzero(~still), earlier._tiles, some, *arrays)
        for row in picks[count - self._settled :].tolist():
            earlier.add(row)
        return earlier

    def distances(self, rows: Rows) -> F64:
        """Euclidean distance of each row to its nearest centre, infinite while there is none."""
        return np.sqrt(self._squared[rows].astype(np.float64))

    def name(self, row: int) -> str | None:
        """The frame_id of a row's nearest centre; of several at one distance, the one that was added first."""
        centre = int(self._nearest[row])
        return None if centre == NO_CENTRE else str(self._frame_id[self._centres[centre]].as_py())


def in_tiles(vectors: F32) -> F32:
    """K vectors (K, D) as (tiles, D, TILE), side by side; the last one is repeated until its tile is full."""
    k, d = vectors.shape
    tiles = -(-k // TILE)
    vectors = vectors[np.minimum(np.arange(tiles * TILE), k - 1)]
    return np.ascontiguousarray(vectors.reshape(tiles, TILE, d).transpose(0, 2, 1))


def see_centres(points: F32, rows: Rows, tiles: F32, count: int, seen: I32, squared: F32, nearest: I32) -> None:
    """Let some rows of points (N, D) see, of so many centres in tiles, those that each has not seen yet.

    Changes `seen`, how many that are, and `squared` and `nearest`, (N,) each.
    """
    share_out(
        lambda i, j: see_tiles(points, rows[i:j], tiles, count, seen, squared, nearest),
        len(rows),
        pairs=len(rows) * count - int(seen[rows].sum(dtype=np.int64)),
    )


def nearest_squared(points: F32, centres: F32) -> F64:
    """Squared Euclidean distance of N points (N, D) to the nearest of K centres (K, D), (N,), infinite without any."""
    squared, nearest = np.full(len(points), np.inf, np.float32), np.full(len(points), NO_CENTRE, np.int32)
    seen = np.zeros(len(points), np.int32)
    see_centres(points, np.arange(len(points)), in_tiles(centres), len(centres), seen, squared, nearest)
    return squared.astype(np.float64)


def share_out(work: Callable[[int, int], None], count: int, pairs: int) -> None:
    """Do work on points i to j for all of `count`, in which so many distances are to be computed.

    Uses as many threads as this process may keep busy, where there is work for them. They sleep while they wait: a pool
    that spins, as OpenMP's does, takes the core from whoever shares it.
    """
    threads = min(thread_budget(), 1 + pairs // PAIRS_A_THREAD)
    bounds = [int(bound) for bound in np.linspace(0, count, 4 * threads + 1)]
    with ThreadPoolExecutor(threads) as executor:
        parts = [executor.submit(work, i, j) for i, j in pairwise(bounds)]
    for part in parts:
        part.result()


@compile_cached
def see_tiles(points: F32, rows: Rows, tiles: F32, count: int, seen: I32, squared: F32, nearest: I32) -> None:
    """Let some rows of points (N, D) see centres in tiles (tiles, D, TILE), one row after the other."""
    sums = np.empty(TILE, np.float32)
    for i in rows:
        if seen[i] < count:
            for t in range(seen[i] // TILE, (count + TILE - 1) // TILE):
                squared_distances(points[i], tiles[t], sums)
                for k in range(TILE):
                    # Of centres at one distance the first stays; one seen again, or repeated, changes nothing.
                    if sums[k] < squared[i]:
                        squared[i] = sums[k]
                        nearest[i] = t * TILE + k
            seen[i] = count


@compile_cached
def see_one(points: F32, rows: Rows, centre: F32, number: int, squared: F32, nearest: I32) -> None:
    """Let points in tiles (tiles, D, TILE), which are these rows, see one centre (D,)."""
    sums = np.empty(TILE, np.float32)
    for t in range(points.shape[0]):
        squared_distances(centre, points[t], sums)
        for k in range(min(TILE, rows.shape[0] - t * TILE)):
            row = rows[t * TILE + k]
            if sums[k] < squared[row]:
                squared[row] = sums[k]
                nearest[row] = number


@compile_cached
def squared_distances(one: F32, tile: F32, sums: F32) -> None:
    """Squared Euclidean distances of one vector (D,) to each of a tile (D, TILE), into `sums` (TILE,)."""
    sums[:] = 0
    for d in range(one.shape[0]):
        for k in range(TILE):
            difference = tile[d, k] - one[d]
            sums[k] += difference * difference
