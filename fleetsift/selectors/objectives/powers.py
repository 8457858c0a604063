"""Powers with the same last bit in every place of an array."""

from __future__ import annotations

import numpy as np

from fleetsift.selectors.compiled import compile_cached
from fleetsift.selectors.pools.pool import F64


def raise_to(values: F64, strength: float) -> F64:
    """values ** strength (N,) for values of 0 and more; a strength of 0 gives 1, also for a value of 0."""
    return values if strength == 1 else _powers(values, strength)


@compile_cached
def _powers(values: F64, strength: float) -> F64:
    # One by one: NumPy's vector routine may give a value another last bit in another place of the array.
    powers = np.empty_like(values)
    for i in range(values.shape[0]):
        powers[i] = values[i] ** strength
    return powers
