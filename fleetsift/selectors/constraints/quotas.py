"""What a batch owes: the values of which it still has to hold some, and who would pay most of them off.

Quotas are paid first: while a candidate can still pay, only those that pay the most of them at once may be picked. So
they hold at every budget that is large enough, before any cap has filled with others, and a smaller batch remains the
beginning of a larger one. Whether several quotas can hold together under caps is a covering problem; this is the greedy
for it (Chvatal 1979), which may leave one owed that another batch would have paid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetsift.schemas.selection import Quota
from fleetsift.selectors.pools.pool import Flags, Pool, Rows


class Debts:
    """How much of every quota is owed."""

    def __init__(self, pool: Pool, quotas: Sequence[Quota]) -> None:
        """Begin with everything owed; raises SelectionError where the pool lacks a quota's key."""
        self.owed = {quota.name: quota.least for quota in quotas}
        self._pays = {quota.name: pool.key(quota.key).of(quota.value) for quota in quotas}  # (N,) each
        self._paying = np.zeros(len(pool), np.int16)  # (N,) how many quotas, of those owed, a candidate would pay
        for pays in self._pays.values():
            self._paying += pays

    def settle(self, rows: Rows) -> None:
        """Count frames that were picked or labelled before."""
        for name, pays in self._pays.items():
            if self.owed[name]:
                self.owed[name] = max(0, self.owed[name] - int(pays[rows].sum()))
                if not self.owed[name]:
                    self._paying -= pays

    def pay(self, row: int) -> dict[str, int]:
        """Count a pick; what is owed after it of each quota that it pays."""
        paid = [name for name, pays in self._pays.items() if pays[row] and self.owed[name]]
        for name in paid:
            self.owed[name] -= 1
            if not self.owed[name]:
                self._paying -= self._pays[name]
        return {name: self.owed[name] for name in paid}

    def pays(self, name: str) -> Flags:
        """Who has the value of a quota, (N,)."""
        return self._pays[name]

    def whose_turn(self, free: Flags) -> Flags:
        """Of the candidates that may be picked (N,), those that pay most quotas: all of them, where none pays any."""
        most = self._paying[free].max(initial=0)
        return free & (self._paying == most) if most else free
