"""What happens to a cluster: who dies, who joins, and when the supervisor deals anew."""

from __future__ import annotations

import random

from benchmarks.simulation.cluster import Cluster
from benchmarks.simulation.plan import SETTLE_S, Plan


class Weather:
    """Who dies and who joins, and how the supervisor takes it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._room = self._dealt = plan.workers
        self._changed_at = -SETTLE_S
        self._next = plan.change_every_s

    def change(self, cluster: Cluster) -> None:
        """Let half a second pass."""
        if cluster.now >= self._next:
            self._next += self._plan.change_every_s * self._chance.uniform(0.5, 1.5)
            self._changed_at = cluster.now
            if self._is_bad():
                zombie_s = self._chance.uniform(5, 90) if self._chance.random() < self._plan.zombies else 0.0
                cluster.die(self._chance.choice(cluster.workers), zombie_s)
                self._room -= 1
            else:
                self._room += 1
        if self._room != self._dealt and cluster.now - self._changed_at >= SETTLE_S:
            cluster.deal(self._room)
            self._dealt = self._room

    def _is_bad(self) -> bool:
        few = self._room <= self._plan.workers // 2
        return not few and (self._room == self._plan.workers or self._chance.random() < 0.5)
