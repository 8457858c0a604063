"""A batch whose shares of some values come as near to wanted ones as its pool and its other rules allow.

The factor of a value is `wanted share / (2 x its picks + 1)`: the divisor method of Webster and Sainte-Laguë (Balinski
& Young, "Fair Representation", 1982). Alone, taking the largest again and again makes the sum over the values of
(picks - wanted share x batch)² / wanted share as small as it can be, at every size of the batch; what a value cannot
fill falls to the others in proportion. Where a frame shows many classes, its areas stand for picks. And a factor only
ever falls, so that greedy stays exact on a few candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import AreaBalance, Balance, Target
from fleetsift.selectors.objectives.powers import raise_to
from fleetsift.selectors.pools.pool import F64, Pool, Rows


class Shares:
    """The factor of every value of one key, falling with the value's picks; a frame whose key is NULL has 0."""

    def __init__(self, pool: Pool, balance: Balance) -> None:
        """Begin with nothing picked; raises SelectionError where the pool was read without the key."""
        self._key = pool.key(balance.key)
        with_null = np.bincount(self._key.codes[pool.own] + 1, minlength=len(self._key.values) + 1)
        held_by_pool = with_null[1:].astype(np.float64)
        self._wanted = wanted_shares(self._key.values, balance.target, held_by_pool)
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


class AreaShares:
    """The factor of every frame by the areas of its classes, falling as the batch's areas grow."""

    def __init__(self, pool: Pool, balance: AreaBalance) -> None:
        """Begin with nothing picked; raises SelectionError for a negative area, and where the pool has no areas."""
        self._areas = pool.class_areas(balance.areas)
        if negative := [name for name, areas in self._areas.items() if (areas < 0).any()]:
            raise SelectionError(
                f"selection.objectives {balance.name!r}: expected areas of 0 and more, {negative[0]} has less; "
                "name a struct of areas"
            )
        own = pool.own
        held_by_pool = np.array([areas[own].sum() for areas in self._areas.values()])
        self._wanted = wanted_shares(tuple(self._areas), balance.target, held_by_pool)
        self._strength = balance.strength
        self._held = np.zeros(len(self._wanted))

    def of(self, rows: Rows) -> F64:
        """The factor for each of these rows."""
        total = np.zeros(len(rows))
        for areas, weight in zip(self._areas.values(), self._wanted / (2 * self._held + 1), strict=True):
            total += areas[rows] * weight
        return raise_to(total, self._strength)

    def pick(self, row: int) -> None:
        """Count the areas of a pick."""
        self._held += [areas[row] for areas in self._areas.values()]


def wanted_shares(names: Sequence[str], target: Target, held_by_pool: F64) -> F64:
    """What share of the batch each value is to have, (V,); one that the pool lacks, or the target does not name, 0."""
    if target == "uniform":
        weights = (held_by_pool > 0).astype(np.float64)
    elif target == "pool":
        weights = held_by_pool
    else:
        weights = np.array([target.get(name, 0.0) for name in names], np.float64)
    total = weights.sum()
    return weights / total if total else weights
