"""The least that a pass over a pool can cost: reading every embedding once, with all threads, and adding it up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray

from fleetsift.threads import thread_budget


@numba.njit(fastmath=True, nogil=True, cache=True)
def _add_up(values: NDArray[np.float32]) -> np.float32:
    total = np.float32(0)
    for i in range(values.shape[0]):
        total += values[i]
    return total


def stream(points: NDArray[np.float32], passes: int) -> None:
    """Read (N, D) so often; free to add up in any order, so that only memory is waited for."""
    flat = points.reshape(-1)
    bounds = [int(bound) for bound in np.linspace(0, len(flat), thread_budget() + 1)]
    with ThreadPoolExecutor(thread_budget()) as executor:
        for _ in range(passes):
            list(executor.map(lambda part: _add_up(flat[part[0] : part[1]]), pairwise(bounds)))
