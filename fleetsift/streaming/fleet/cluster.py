"""The Ray that a run works on: the cluster it was submitted to, or a local one for the time of the run."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

import ray
from ray._private.services import canonicalize_bootstrap_address  # the only one who knows where `auto` is
from ray.exceptions import AuthenticationError

from fleetsift.errors import ClusterError, ConfigError
from fleetsift.schemas.fleet import WorkersSpec
from fleetsift.threads import thread_budget

_KNOCK_S = 5.0
_HEAD_S = 20.0  # so long a head may be away: one that is started again is back, and Ray ends its processes after 60
_SETTLE_S = 3.0  # so long a change of the cluster has to last: nodes come and go several at a time
_GO_ON = "Run again: it goes on from the store"


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
        _connect(canonicalize_bootstrap_address(address) or "")
    except (OSError, ValueError) as error:
        said = _line(error).partition(". ")[0]  # where there is more, it is Ray's remedy
        raise ClusterError(
            f"RAY_ADDRESS: expected a Ray head that answers, {address} does not: {said}; start it (`ray start "
            "--head`), mend the address, or unset RAY_ADDRESS for a Ray of this run's own"
        ) from error


def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()


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


def threads_of(workers: WorkersSpec) -> int:
    """Threads of a worker; by default what Ray reserves for it on a cluster, or its share of this machine."""
    if workers.threads:
        return workers.threads
    return max(1, int(workers.cpus) if _named() else thread_budget() // workers.count)


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
            _connect(address)
        except OSError as error:
            if now - self._answered > _HEAD_S:
                raise ClusterError(
                    f"ray: expected its head at {address} to answer, it has not for {now - self._answered:.0f} s: "
                    f"{_line(error)}; was it killed? {_GO_ON}"
                ) from error
            return False
        self._answered = now
        return True
