"""A balance towards shares that are known beforehand, counted in the picks so far."""

from __future__ import annotations

import numpy as np

from fleetsift.schemas.selection import Balance
from fleetsift.selectors.objectives.powers import raise_to
from fleetsift.selectors.pools.pool import F64

NO_VALUE = 0  # the code of a frame whose key is NULL: it serves no share


class SharesSoFar:
    """The factor of every value of one key: wanted share / (2 x picks of the value + 1), of a NULL 0.

    `uniform` wants as much of every value; how many there are nobody knows yet, so each share counts as 1.
    """

    def __init__(self, balance: Balance) -> None:
        self._target, self._strength = balance.target, balance.strength
        self._codes: dict[str, int] = {}
        self._wanted, self._picks = [0.0], [0]
        self.factors: F64 = raise_to(np.zeros(1), self._strength)  # by code

    def code(self, value: str | None) -> int:
        """The number of a value, a new one where it has not been seen."""
        if value is None:
            return NO_VALUE
        if value not in self._codes:
            self._codes[value] = len(self._wanted)
            self._wanted.append(self._share(value))
            self._picks.append(0)
            self.factors = np.append(self.factors, raise_to(np.array(self._wanted[-1:]), self._strength))
        return self._codes[value]

    def pick(self, code: int) -> None:
        """Count a pick of a value."""
        self._picks[code] += 1
        share = np.array([self._wanted[code] / (2 * self._picks[code] + 1)])
        self.factors[code] = raise_to(share, self._strength)[0]

    def _share(self, value: str) -> float:
        if not isinstance(self._target, dict):
            return 1.0
        return self._target.get(value, 0.0) / sum(self._target.values())
