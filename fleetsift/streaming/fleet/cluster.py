"""The Ray that a run works on: the cluster it was submitted to, or a local one for the time of the run."""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

import ray

from fleetsift.engines.threads import thread_budget
from fleetsift.errors import ConfigError
from fleetsift.schemas.fleet import WorkersSpec

_SETTLE_S = 3.0  # so long a change of the cluster has to last: nodes come and go several at a time


@contextmanager
def cluster(workers: WorkersSpec) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names (`ray job submit` sets it), or start one here for the time of the run.

    Raises ConfigError where a worker asks for more than this machine has; a cluster may grow, and is waited for.
    """
    if ray.is_initialized():
        yield
        return
    on_terminate = signal.getsignal(signal.SIGTERM)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.ERROR, log_to_driver=False)  # workers tell what they log
    else:
        _start_cluster(workers)
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray has taken it; a SIGTERM drains here, it does not exit
    try:
        yield
    finally:
        ray.shutdown()


def _start_cluster(workers: WorkersSpec) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, math.ceil(workers.count * workers.cpus)),
        object_store_memory=80 * 2**20,  # nothing but counts goes through it
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,  # Ray would print what its processes say among our results
    )
    if not count_room(workers):
        ray.shutdown()
        raise ConfigError(
            f"workers.gpus: expected at most what this machine has, got {workers.gpus:g}; mend it, or run on a cluster"
        )


def count_room(workers: WorkersSpec) -> int:
    """How many workers the nodes that are alive hold at once, by what Ray reserves for each."""
    wanted = {name: amount for name, amount in (("CPU", workers.cpus), ("GPU", workers.gpus)) if amount}
    return sum(
        min(math.floor(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in wanted.items())
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    )


def threads_of(workers: WorkersSpec) -> int:
    """Threads of a worker; by default what Ray reserves for it on a cluster, or its share of this machine."""
    if workers.threads:
        return workers.threads
    return max(1, int(workers.cpus) if os.environ.get("RAY_ADDRESS") else thread_budget() // workers.count)


class Room:
    """How many workers a cluster holds, as it was when that last did not change for some seconds."""

    def __init__(self, workers: WorkersSpec) -> None:
        """Count it now."""
        self._workers = workers
        self._settled = self._seen = count_room(workers)
        self._since = time.monotonic()

    def look(self) -> int:
        """Count it again."""
        now, seen = time.monotonic(), count_room(self._workers)
        if seen != self._seen:
            self._seen, self._since = seen, now
        if now - self._since >= _SETTLE_S:
            self._settled = seen
        return self._settled
