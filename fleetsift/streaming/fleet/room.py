"""How much room a cluster has for workers, and whether it is there at all."""

from __future__ import annotations

import math
import socket
import time

import ray

from fleetsift.errors import ClusterError
from fleetsift.schemas.fleet import WorkersSpec

_KNOCK_S = 5.0
_HEAD_S = 20.0  # so long a head may be away: one that is started again is back, and Ray ends its processes after 60
_SETTLE_S = 3.0  # so long a change of the cluster has to last: nodes come and go several at a time
_GO_ON = "Run again: it goes on from the store"


def reach(address: str) -> None:
    """Connect to HOST:PORT once; raises OSError where nobody listens, ValueError where it is no such address."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()


def count_room(workers: WorkersSpec) -> int:
    """How many workers the nodes that are alive hold at once, by what Ray reserves for each.

    Raises ClusterError where no node is alive: a cluster has its head, and a run's own Ray is one node.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if not nodes:
        raise ClusterError(f"ray: expected a node that is alive, got none: was its raylet killed? {_GO_ON}")
    wanted = {name: amount for name, amount in (("CPU", workers.cpus), ("GPU", workers.gpus)) if amount}
    return sum(
        min(math.floor(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in wanted.items())
        for node in nodes
    )


class Room:
    """How many workers a cluster holds, as it was when that last did not change for some seconds."""

    def __init__(self, workers: WorkersSpec) -> None:
        """Count it now."""
        self._workers = workers
        self._settled = self._seen = count_room(workers)
        self._since = self._answered = time.monotonic()

    def look(self) -> int:
        """Count it again; as it was, while the head is away.

        Raises ClusterError where the head stays away, or no node is alive.
        """
        now = time.monotonic()
        if not self._head_answers(now):
            return self._settled
        seen = count_room(self._workers)
        if seen != self._seen:
            self._seen, self._since = seen, now
        if now - self._since >= _SETTLE_S:
            self._settled = seen
        return self._settled

    def _head_answers(self, now: float) -> bool:
        """Whether somebody listens there; Ray, asked while nobody does, keeps who asks waiting for a minute."""
        address = ray.get_runtime_context().gcs_address
        try:
            reach(address)
        except OSError as error:
            if now - self._answered > _HEAD_S:
                raise ClusterError(
                    f"ray: expected its head at {address} to answer, it has not for {now - self._answered:.0f} s: "
                    f"{error}; was it killed? {_GO_ON}"
                ) from error
            return False
        self._answered = now
        return True
