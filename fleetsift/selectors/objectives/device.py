"""Diversity on an accelerator that torch has found: it says which pairs to look at, and never what their distance is.

|x - c|² = |x|² + |c|² - 2 x·c costs one product of matrices, but rounds in whatever order it is added up. Its error is
at most a few times D x 2⁻²⁴ x (|x|² + |c|²) (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1); with that
much taken off it is a lower bound, and only pairs whose bound is not above the distance so far are computed, exactly
and on the processor. So the picks with a device are the picks without, to the last bit. A point's nearest centre
changes a few times in a selection: nearly no pair is left.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from fleetsift.selectors.compiled import compile_cached
from fleetsift.selectors.pools.pool import F32, Rows

WORTH_A_DEVICE = 50_000_000  # floats: below, loading torch and moving them costs more than it gains
PAIRS_AT_ONCE = 2**26  # a quarter of a gibibyte of bounds
U = 2.0**-24  # float32 rounds by at most this, relatively


class OnDevice:
    """A pool's vectors resident on a device."""

    def __init__(self, points: F32, device: str) -> None:
        """points: (N, D); device: as torch names it."""
        import torch  # noqa: PLC0415 - an extra, and slow to load

        self._torch = torch
        self._points = torch.from_numpy(points).to(device)
        # What is left of |x|² when every rounding of products, norms and exact sums is taken off.
        self._left = 1 - (8 * points.shape[1] + 32) * U
        self._norms = (self._points * self._points).sum(1) * self._left

    def pairs(self, start: int, stop: int, centres: F32, squared: F32) -> tuple[Rows, Rows]:
        """Rows (counted from `start`) and centres (K, D) that may be no further than `squared` (stop - start,)."""
        torch = self._torch
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")  # shortened mantissas (TF32) would break the bound
        try:
            on_device = torch.from_numpy(centres).to(self._points.device)
            products = self._points[start:stop] @ on_device.T
        finally:
            torch.set_float32_matmul_precision(before)
        bounds = (on_device * on_device).sum(1) * self._left - 2 * products + self._norms[start:stop, None]
        near = bounds <= torch.from_numpy(squared).to(self._points.device)[:, None]
        rows, numbers = near.nonzero(as_tuple=True)  # in order of rows, then of centres
        return rows.cpu().numpy(), numbers.cpu().numpy()

    def see_all(self, points: F32, centres: F32, first: int, squared: F32, nearest: NDArray[np.int32]) -> None:
        """Let all N points (N, D) see K centres (K, D), numbered from `first`; changes `squared`, `nearest`, (N,)."""
        at_once = max(1, PAIRS_AT_ONCE // max(1, len(centres)))
        for start in range(0, len(points) if len(centres) else 0, at_once):
            part = slice(start, start + at_once)
            rows, numbers = self.pairs(start, start + at_once, centres, squared[part])
            see_pairs(points[part], centres, rows, numbers, first, squared[part], nearest[part])


def device_for(points: F32) -> OnDevice | None:
    """A device that torch finds, where the pool is large enough to be worth it and fits; None for the processor."""
    if points.size < WORTH_A_DEVICE or find_spec("torch") is None:
        return None
    import torch  # noqa: PLC0415 - an extra, and slow to load

    if not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < 1.2 * points.nbytes + 16 * PAIRS_AT_ONCE:
        return None
    return OnDevice(points, "cuda")


@compile_cached
def see_pairs(
    points: F32, centres: F32, rows: Rows, numbers: Rows, first: int, squared: F32, nearest: NDArray[np.int32]
) -> None:
    """Let some rows of points (N, D) see some of the centres (K, D), pair by pair."""
    for p in range(rows.shape[0]):
        i, k = rows[p], numbers[p]
        total = np.float32(0)
        for d in range(points.shape[1]):
            difference = centres[k, d] - points[i, d]
            total += difference * difference
        if total < squared[i]:  # of centres at one distance the first stays
            squared[i] = total
            nearest[i] = first + k
