"""One Ray actor a worker, each owning some partitions, and the supervisor that starts, watches and drains them.

A worker that dies is started again and goes on from the store; nothing of it has to be remembered. Pixels and scores
never cross a process: what an actor is told is a job, and what it tells is its counts. Ray lives here and nowhere else.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from fleetsift.engines.engine import Engine
from fleetsift.engines.open import open_engine
from fleetsift.engines.threads import thread_budget
from fleetsift.errors import FleetsiftError, SourceError
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.store.chain import Namespace, resume, tally
from fleetsift.streaming.frames import FrameReader
from fleetsift.streaming.kafka import Topic, describe_topic
from fleetsift.streaming.progress import RunProgress
from fleetsift.streaming.run import Job, Meter, score_partitions

log = logging.getLogger(__name__)

_TICK_S = 0.5
_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each new start of a worker that has died without scoring a frame


def run_fleet(
    spec: FleetSpec,
    *,
    until_end: bool,
    stop: Event,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    engine: Callable[[], Engine] | None = None,
) -> RunProgress:
    """Score a topic with workers on Ray until `stop` is set, or until its present end.

    `engine` opens the engine in each worker; by default it is the spec's ensemble on ONNX Runtime. Returns what the
    store holds that it did not hold before. Raises the FleetsiftError that made a worker give up, or SourceError where
    one keeps dying.
    """
    topic = describe_topic(spec.kafka)
    threads = spec.workers.threads or max(1, thread_budget() // spec.workers.count)
    opener = engine or partial(open_engine, Path(spec.ensemble), threads)
    chains = _chains(spec, topic, opener)
    FrameReader.open(spec.frames)  # what the driver can refuse, it refuses before anything is started
    jobs = [
        Job(spec, topic, partitions, until_end, max(1, threads // 2), opener)
        for partitions in share_out(topic.partitions, spec.workers.count)
    ]
    on_progress(RunProgress({}, None, 0.0, len(jobs), 0))
    with _cluster(spec.workers):
        crew = [_Hand(job, spec.workers) for job in jobs]
        progress = _supervise(crew, stop, on_progress)
    published = sum((tally(folder, since) for folder, since in chains.items()), Counter[str]())
    return replace(progress, rows=dict(published))


def share_out(partitions: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """Deal partitions to workers in turn; a worker that would get none is not started."""
    return [share for share in (tuple(partitions[i::workers]) for i in range(workers)) if share]


def _chains(spec: FleetSpec, topic: Topic, opener: Callable[[], Engine]) -> dict[Path, int]:
    """The chain of each partition and where it goes on; opening the engine here refuses a bad ensemble at once."""
    engine = opener()
    namespace = Namespace(topic.name, topic.topic_id, engine.ensemble_id, engine.classes)
    engine.close()
    folders = {p: namespace.folder(Path(spec.store.path), p) for p in topic.partitions}
    return {folder: resume(folder, namespace, p) for p, folder in folders.items()}


def _supervise(crew: list[_Hand], stop: Event, on_progress: Callable[[RunProgress], None]) -> RunProgress:
    began = time.monotonic()
    while True:
        for hand in crew:
            hand.look(draining=stop.is_set())
        rows = sum((hand.rows for hand in crew), Counter[str]())
        lags = [hand.lag for hand in crew if hand.lag is not None]
        progress = RunProgress(
            rows=dict(rows),
            lag=sum(lags) if len(lags) == len(crew) else None,
            elapsed_s=time.monotonic() - began,
            workers=len(crew),
            restarts=sum(hand.restarts for hand in crew),
        )
        on_progress(progress)
        running = [hand.run for hand in crew if not hand.done]
        if not running:
            return progress
        ray.wait(running, timeout=_TICK_S)


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of itself: rows by status, and references not yet scored, once it knows."""

    rows: Counter[str] = field(default_factory=Counter)
    lag: int | None = None


class Worker:
    """The actor: `score` runs the hot path in one thread while `tell` and `drain` answer in others."""

    def __init__(self, job: Job, back_off_s: float) -> None:
        self._job = job
        self._back_off_s = back_off_s
        self._stop = Event()
        self._meter = Meter()

    def score(self) -> None:
        """Run the hot path to its end, after a pause where the workers before this one have died."""
        self._stop.wait(self._back_off_s)
        score_partitions(self._job, self._stop, self._meter)

    def tell(self) -> Told:
        """How far it is."""
        return Told(Counter(self._meter.rows), self._meter.lag(len(self._job.partitions)))

    def drain(self) -> None:
        """Stop reading; what was read is scored and published."""
        self._stop.set()


class _Hand:
    """The supervisor's view of one worker: its actor, what it told last, and how often it had to be replaced."""

    def __init__(self, job: Job, spec: WorkersSpec) -> None:
        self._job = job
        self._actor_class: Any = ray.remote(Worker).options(num_cpus=spec.cpus, num_gpus=spec.gpus, max_concurrency=3)
        self._told = Told()
        self._told_before: Counter[str] = Counter()  # by workers that died; what they had not published comes again
        self._actor: Any
        self._telling: Any
        self.run: Any
        self._failures = 0  # since one last scored a frame
        self._asked_to_drain = False
        self.restarts = 0
        self.done = False
        self._start()

    @property
    def rows(self) -> Counter[str]:
        """Rows scored, by status."""
        return self._told.rows + self._told_before

    @property
    def lag(self) -> int | None:
        """References not yet scored, once the worker knows."""
        return self._told.lag

    def look(self, *, draining: bool) -> None:
        """Take what the worker has told, and see whether it has finished, failed or died."""
        if self.done:
            return
        try:
            if draining and not self._asked_to_drain:
                self._asked_to_drain = True
                self._actor.drain.remote()
            finished = bool(ray.wait([self.run], timeout=0)[0])
            if finished:
                ray.get(self.run)
                self._telling = self._actor.tell.remote()
            if finished or ray.wait([self._telling], timeout=0)[0]:
                self._told = ray.get(self._telling)
                self._telling = self._actor.tell.remote()
            self.done = finished
        except RayTaskError as error:
            raise _cause(error) from error
        except RayActorError as error:
            self._replace(error, draining=draining)

    def _start(self) -> None:
        back_off_s = _BACK_OFF_S[self._failures - 1] if self._failures else 0.0
        self._actor = self._actor_class.remote(self._job, back_off_s)
        self.run = self._actor.score.remote()
        self._telling = self._actor.tell.remote()

    def _replace(self, error: RayActorError, *, draining: bool) -> None:
        self._failures = 0 if self._told.rows else self._failures + 1
        self._told_before += self._told.rows
        self._told = Told()
        if draining:
            log.warning("a worker died while it drained; the next run scores again what it had not published")
            self.done = True
        elif self._failures > len(_BACK_OFF_S):
            reason = " ".join(str(error).split())
            raise SourceError(f"workers: one died {self._failures} times before it scored a frame: {reason}") from error
        else:
            log.warning("the worker of partitions %s died; starting another", list(self._job.partitions))
            self.restarts += 1
            self._start()


def _cause(error: RayTaskError) -> FleetsiftError | RayTaskError:
    return error.cause if isinstance(error.cause, FleetsiftError) else error


@contextmanager
def _cluster(workers: WorkersSpec) -> Iterator[None]:
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
