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
from ray._private.services import canonicalize_bootstrap_address  # the only one who knows where `auto` is
from ray.exceptions import AuthenticationError

from fleetsift.errors import ClusterError, ConfigError
from fleetsift.schemas.fleet import WorkersSpec
from fleetsift.streaming.fleet.room import count_room, reach
from fleetsift.threads import thread_budget


@contextmanager
def cluster(workers: WorkersSpec) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names (`ray job submit` sets it), or start one here for the time of the run.

    Raises ClusterError where that fails, within seconds where nobody listens; ConfigError where a worker asks for more
    than this machine has. A cluster may grow, and is waited for.
    """
    if ray.is_initialized():
        yield
        return
    on_terminate = signal.getsignal(signal.SIGTERM)
    if address := _named():
        _join_cluster(address)
    else:
        _start_cluster(workers)
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray has taken it; a SIGTERM drains here, it does not exit
    try:
        yield
    finally:
        ray.shutdown()


def _named() -> str | None:
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def _join_cluster(address: str) -> None:
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # one attempt, of 40 seconds at most
    _knock(address)
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)  # workers tell what they log
    except Exception as error:  # of any class: Ray raises plain ones too
        if "AuthToken" in _whole(error) or isinstance(error, AuthenticationError):
            raise ClusterError(
                f"RAY_ADDRESS: {address} wants its token, and got another or none; RAY_AUTH_MODE=token and "
                "RAY_AUTH_TOKEN_PATH=FILE (or RAY_AUTH_TOKEN) say which"
            ) from error
        raise ClusterError(
            f"RAY_ADDRESS: expected the head of a Ray cluster at {address}, and could not join it: {_line(error)}"
        ) from error


def _knock(address: str) -> None:
    """Raise ClusterError where nobody listens at an address; Ray itself would try for minutes."""
    if "://" in address:
        raise ClusterError(
            f"RAY_ADDRESS: expected HOST:PORT of a Ray head (its port is 6379 unless told otherwise) or auto, got "
            f"{address}; from outside of the cluster, submit the run with `ray job submit`"
        )
    try:
        reach(canonicalize_bootstrap_address(address) or "")
    except (OSError, ValueError) as error:
        said = _line(error).partition(". ")[0]  # where there is more, it is Ray's remedy
        raise ClusterError(
            f"RAY_ADDRESS: expected a Ray head that answers, {address} does not: {said}; start it (`ray start "
            "--head`), mend the address, or unset RAY_ADDRESS for a Ray of this run's own"
        ) from error


def _start_cluster(workers: WorkersSpec) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, math.ceil(workers.count * workers.cpus)),
            object_store_memory=80 * 2**20,  # nothing but counts goes through it
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,  # Ray would print what its processes say among our results
        )
    except Exception as error:  # plain ones too, where a node times out on a busy machine
        ray.shutdown()
        raise ClusterError(f"ray: expected to start one on this machine, got {_line(error)}") from error
    if not count_room(workers):
        ray.shutdown()
        raise ConfigError(
            f"workers.gpus: expected at most what this machine has, got {workers.gpus:g}; mend it, or run on a cluster"
        )


def _whole(error: BaseException) -> str:
    """What an error and those behind it say."""
    return str(error) + (_whole(error.__cause__) if error.__cause__ else "")


def _line(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())


def threads_of(workers: WorkersSpec) -> int:
    """Threads of a worker; by default what Ray reserves for it on a cluster, or its share of this machine."""
    if workers.threads:
        return workers.threads
    return max(1, int(workers.cpus) if _named() else thread_budget() // workers.count)
