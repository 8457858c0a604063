"""A batch whose shares of some values come as near to wanted ones as its pool and its other rules allow.

The factor of a value is `wanted share / (2 x its picks + 1)`: the divisor method of Webster and Sainte-Laguë (Balinski
& Young, "Fair Representation", 1982). Taking the largest again and again makes the sum over the values of
(picks - wanted share x batch)² / wanted share as small as it can be, at every size of the batch; what a value cannot
fill falls to the others in proportion. And a factor only ever falls, so that greedy stays exact on a few candidates.
"""

from __future__ import annotations

import numpy as np

from fleetsift.schemas.selection import Balance
from fleetsift.selectors.pool import F64, Key, Pool, Rows
from fleetsift.selectors.powers import raise_to


class Shares:
    """The factor of every value of one key, falling with the value's picks; a frame whose key is NULL has 0."""

    def __init__(self, pool: Pool, balance: Balance) -> None:
        """Begin with nothing picked; raises SelectionError where the pool was read without the key."""
        self._key = pool.key(balance.key)
        self._wanted = wanted_shares(self._key, balance)
        self._strength = balance.strength
        self._picks = np.zeros(len(self._key.values), np.int64)
        self._factors = raise_to(np.append(self._wanted, 0.0), self._strength)  # code -1 takes the last entry

    def of(self, rows: Rows) -> F64:
        """The factor for each of these rows."""
        factors: F64 = self._factors[self._key.codes[rows]]
        return factors

    def pick(self, row: int) -> None:
        """Count a pick of its value."""
        code = int(self._key.codes[row])
        if code >= 0:
            self._picks[code] += 1
            share = self._wanted[code : code + 1] / (2 * self._picks[code] + 1)
            self._factors[code] = raise_to(share, self._strength)[0]


def wanted_shares(key: Key, balance: Balance) -> F64:
    """What share of the batch each value of a key is to have, (V,); values that a given target does not name get 0."""
    if balance.target == "uniform":
        weights = np.ones(len(key.values))
    elif balance.target == "pool":
        weights = np.bincount(key.codes[key.codes >= 0], minlength=len(key.values)).astype(np.float64)
    else:
        weights = np.array([balance.target.get(value, 0.0) for value in key.values], np.float64)
    total = weights.sum()
    return weights / total if total else weights
