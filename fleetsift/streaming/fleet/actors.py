"""One Ray actor a worker, owning some partitions, and the supervisor's hand on it.

A worker that dies is started again and goes on from the store; nothing of it has to be remembered. Pixels and scores
never cross a process: what an actor is told is a job, and what it tells is its counts.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from fleetsift.errors import FleetsiftError, PartitionsGivenUp, SourceError
from fleetsift.logs import LogEvent, LogStyle, configure_logs, keep_events, log_style, say_again
from fleetsift.schemas.fleet import WorkersSpec
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.progress import Readings, join_readings
from fleetsift.streaming.run import Job, score_partitions

log = logging.getLogger(__name__)

_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each new start of a worker that has died without publishing


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of itself: rows by status, and references not yet scored, once it knows."""

    rows: Counter[str] = field(default_factory=Counter)
    lag: int | None = None
    given_up: dict[int, str] = field(default_factory=dict)  # partitions, and why
    readings: Readings = field(default_factory=Readings)
    events: list[LogEvent] = field(default_factory=list)  # since it told last


class Worker:
    """The actor: `score` runs the hot path in one thread while `tell` and `drain` answer in others."""

    def __init__(self, job: Job, number: int, back_off_s: float, style: LogStyle) -> None:
        configure_logs(style, {"worker": number, "partitions": job.partitions})  # into a file of Ray's
        self._events = keep_events()
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
        given_up = dict(self._meter.given_up)
        lag = self._meter.lag(len(self._job.partitions) - len(given_up))
        return Told(Counter(self._meter.rows), lag, given_up, self._meter.read(), self._events.take())

    def drain(self) -> None:
        """Stop reading; what was read is scored and published."""
        self._stop.set()


class Hand:
    """The supervisor's view of one worker: its actor, what it told last, and how often it had to be replaced."""

    def __init__(self, job: Job, spec: WorkersSpec, number: int = 0) -> None:
        self._job = job
        self._number = number
        self._actor_class: Any = ray.remote(Worker).options(num_cpus=spec.cpus, num_gpus=spec.gpus, max_concurrency=3)
        self._told = Told()
        self._told_before: Counter[str] = Counter()  # by workers that died; what they had not published comes again
        self._read_before = Readings()
        self._actor: Any
        self._telling: Any
        self.run: Any
        self._failures = 0  # since one last published
        self._heard = False  # of the worker that is there now; before, it may wait for a place on the cluster
        self._asked_to_drain = False
        self.restarts = 0
        self.done = False
        self.given_up: dict[int, str] = {}  # partitions that are no longer read, and why
        self._start()

    @property
    def rows(self) -> Counter[str]:
        """Rows scored, by status."""
        return self._told.rows + self._told_before

    @property
    def readings(self) -> Readings:
        """What was counted, by those who died too; what is queued, by the worker that is there now."""
        joined = join_readings((self._read_before, self._told.readings))
        return replace(joined, queues={}) if self.done else joined

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
            if draining and not self._heard and not ray.wait([self._telling], timeout=0)[0]:
                ray.kill(self._actor)  # it has not begun, and might wait for its place for ever
                self.done = True
                return
            finished = bool(ray.wait([self.run], timeout=0)[0])
            if finished:
                self._hear()  # asked before it finished: what a worker logs it tells once
            if finished or ray.wait([self._telling], timeout=0)[0]:
                self._hear()
            if finished:
                with suppress(PartitionsGivenUp):  # what it told says so too; the others may go on
                    ray.get(self.run)
                ray.kill(self._actor)  # what it reserved is free for those who come after it
                self.done = True
        except RayTaskError as error:
            raise _cause(error) from error
        except RayActorError as error:
            self._replace(error, draining=draining)

    def _hear(self) -> None:
        """Take what it tells when it was asked last, and ask again."""
        self._told = ray.get(self._telling)
        self._heard = True
        self._telling = self._actor.tell.remote()
        say_again(self._told.events, {"worker": self._number, "partitions": self._job.partitions})
        for partition, reason in self._told.given_up.items():
            if partition not in self.given_up:
                log.error("partition %d is given up: %s", partition, reason)
        self.given_up |= self._told.given_up

    def _start(self) -> None:
        back_off_s = _BACK_OFF_S[self._failures - 1] if self._failures else 0.0
        self._actor = self._actor_class.remote(self._job, self._number, back_off_s, log_style())
        self.run = self._actor.score.remote()
        self._telling = self._actor.tell.remote()

    def _replace(self, error: RayActorError, *, draining: bool) -> None:
        self._failures = 0 if self._told.readings.published else self._failures + 1
        self._told_before += self._told.rows
        self._read_before = replace(self.readings, queues={})
        self._told = Told()
        self._heard = False
        if draining:
            log.warning("a worker died while it drained; the next run scores again what it had not published")
            self.done = True
        elif self._failures > len(_BACK_OFF_S):
            reason = " ".join(str(error).split())
            raise SourceError(
                f"workers: the one of partitions {list(self._job.partitions)} died {self._failures} times before it "
                f"published a row; does a frame next to be scored kill it? {reason}"
            ) from error
        else:
            log.warning("the worker of partitions %s died; starting another", list(self._job.partitions))
            self.restarts += 1
            self._start()


def _cause(error: RayTaskError) -> FleetsiftError | RayTaskError:
    return error.cause if isinstance(error.cause, FleetsiftError) else error


def wait_for_any(hands: Sequence[Hand], timeout_s: float) -> None:
    """Return when one of some workers has finished or died, at the latest after so many seconds."""
    if hands:
        ray.wait([hand.run for hand in hands], timeout=timeout_s)
    else:
        time.sleep(timeout_s)
