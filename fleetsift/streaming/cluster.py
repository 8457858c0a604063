"""The Ray that a run works on: the cluster it was submitted to, or a local one for the time of the run."""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

import ray

from fleetsift.schemas.fleet import WorkersSpec


@contextmanager
def cluster(workers: WorkersSpec) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names (`ray job submit` sets it), or start one here for the time of the run."""
    if ray.is_initialized():
        yield
        return
    on_terminate = signal.getsignal(signal.SIGTERM)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.ERROR)
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
