"""The supervisor's hand on a worker: one Ray actor that owns some partitions.

A worker that dies is started again and goes on from the store; nothing of it has to be remembered, but for an inquest
where workers die again and again. Pixels and scores never cross a process: what an actor is told is a job, and what it
tells is its counts.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from fleetsift.errors import FleetsiftError, PartitionsGivenUp, SourceError
from fleetsift.logs import log_style, say_again
from fleetsift.streaming.fleet.inquest import Inquest, assign
from fleetsift.streaming.fleet.shares import Share
from fleetsift.streaming.fleet.worker import Told, Worker
from fleetsift.streaming.progress import Readings, join_readings
from fleetsift.streaming.run import Job

log = logging.getLogger(__name__)

_DEATHS = (RayActorError, OutOfMemoryError)  # the second: killed by its raylet, before the kernel would
_MOST_WORDS = 600  # characters of why one died: Ray tells all that it knows of the memory of a node
_BACK_OFF_S = (0.0, 1.0, 2.0, 4.0, 8.0)  # before each new start, since one last published


class Hand:
    """The supervisor's view of one worker: its actor, what it told last, and why it had to be replaced."""

    def __init__(self, job: Job, chain_ends: Callable[[Sequence[int]], Mapping[int, int]], number: int = 0) -> None:
        """Start a worker; `chain_ends` says where the chains of some partitions end, as the store knows it."""
        spec = job.spec.workers
        self._job = job
        self._chain_ends = chain_ends
        self._number = number
        self._actor_class: Any = ray.remote(Worker).options(num_cpus=spec.cpus, num_gpus=spec.gpus, max_concurrency=3)
        self._told = Told()
        self._told_before: Counter[str] = Counter()  # by workers that died; what they had not published comes again
        self._read_before = Readings()
        self._actor: Any
        self._telling: Any
        self.run: Any
        self._inquest = Inquest(job.partitions)
        self._failures = 0  # deaths since one last published
        self.heard = False  # of the worker that is there now; before, it may wait for a place on the cluster
        self._reads = False  # before, it opens its engine
        self._asked_to_drain = False
        self.restarts = 0
        self.done = False
        self.given_up: dict[int, str] = {}  # partitions that are no longer read, and why
        self._start()

    @property
    def partitions(self) -> Share:
        """What it owns."""
        return self._job.partitions

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
        """References not yet scored, once the worker knows, of all its partitions."""
        return None if self._inquest.walk else self._told.lag

    def look(self, *, draining: bool) -> None:
        """Take what the worker has told, and see whether it has finished, failed or died."""
        if self.done:
            return
        try:
            if draining and not self._asked_to_drain:
                self._asked_to_drain = True
                self._actor.drain.remote()
            if draining and not self.heard and not ray.wait([self._telling], timeout=0)[0]:
                ray.kill(self._actor)  # it has not begun, and might wait for its place for ever
                self.done = True
                return
            if not self._reads and ray.wait([self.run], timeout=0)[0]:
                ray.get(self.run)
                self._read()
            finished = self._reads and bool(ray.wait([self.run], timeout=0)[0])
            if finished:
                self._hear()  # asked before it finished: what a worker logs it tells once
            if finished or ray.wait([self._telling], timeout=0)[0]:
                self._hear()
            if finished:
                with suppress(PartitionsGivenUp):  # what it told says so too; the others may go on
                    ray.get(self.run)
                self._survive(draining=draining)
        except RayTaskError as error:
            raise _cause(error) from error
        except _DEATHS as error:
            self._replace(error, draining=draining)

    def _hear(self) -> None:
        """Take what it tells when it was asked last, and ask again."""
        self._told = ray.get(self._telling)
        self.heard = True
        self._telling = self._actor.tell.remote()
        say_again(self._told.events, {"worker": self._number, "partitions": self._job.partitions})
        for partition, reason in self._told.given_up.items():
            if partition not in self.given_up:
                log.error("partition %d is given up: %s", partition, reason)
        self.given_up |= self._told.given_up

    def _start(self) -> None:
        back_off_s = _BACK_OFF_S[self._failures - 1] if self._failures else 0.0
        self.heard = self._reads = False
        self._actor = self._actor_class.remote(self._job.partitions, self._number, log_style())
        self.run = self._actor.open.remote(self._job.open_engine, back_off_s, try_it=self.restarts > 0)
        self._telling = self._actor.tell.remote()

    def _read(self) -> None:
        """Give the worker what the inquest has for it."""
        self._reads = True
        self.run = self._actor.score.remote(assign(self._job, self._inquest))

    def _survive(self, *, draining: bool) -> None:
        """Go on with what is next, or be done."""
        then = None if draining else self._inquest.after_survival()
        if then is None:
            ray.kill(self._actor)  # what it reserved is free for those who come after it
            self.done = True
        else:
            self._inquest = then
            self._read()

    def _replace(self, error: Exception, *, draining: bool) -> None:
        self._told_before += self._told.rows
        self._read_before = replace(self.readings, queues={})
        self._told = Told()
        if draining:
            log.warning(
                "a worker died while it drained; who has its partitions next scores again what it had not published"
            )
            self.done = True
            return
        log.warning("the worker of partitions %s died", list(self._inquest.reading))
        self._failures += 1
        if self._reads:
            ends = self._chain_ends(self._job.partitions)
            self._failures = self._failures if ends == self._inquest.ends else 1
            self._inquest = self._inquest.after_death(ends)
        self._refuse_to_go_on(shorten(str(error), _MOST_WORDS, placeholder=" …"))
        if suspect := self._inquest.suspect:
            place = (suspect.partition, suspect.end, suspect.deaths)
            log.error("partition %d: the frame at its chain's end, %d, has killed %d workers; it becomes a row", *place)
        self.restarts += 1
        self._start()

    def _refuse_to_go_on(self, reason: str) -> None:
        """Raise SourceError where another worker would die as those before it."""
        if self._failures > len(_BACK_OFF_S):
            when = "before it published a row" if self._reads else "before it began to read"
            raise SourceError(
                f"workers: the one of partitions {list(self._job.partitions)} died {self._failures} times {when}; "
                f"{reason}"
            )
        if self._inquest.is_hopeless:
            raise SourceError(
                f"workers: {self._inquest.crashes} frames of partition {self._inquest.reading[0]}, one after another, "
                f"killed theirs and became rows; is it the machine, and not the frames? {reason}"
            )


def _cause(error: RayTaskError) -> FleetsiftError | RayTaskError:
    return error.cause if isinstance(error.cause, FleetsiftError) else error


def wait_for_any(hands: Sequence[Hand], timeout_s: float) -> None:
    """Return when one of some workers has finished or died, at the latest after so many seconds."""
    if hands:
        ray.wait([hand.run for hand in hands], timeout=timeout_s)
    else:
        time.sleep(timeout_s)
