"""What runs in an actor of its own: the hot path of some partitions, and what it tells of itself."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from fleetsift.engines.engine import Engine
from fleetsift.engines.truth.canary import canary_frames
from fleetsift.logs import LogEvent, LogStyle, configure_logs, keep_events
from fleetsift.schemas.frames import FrameBatch
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.progress import Readings
from fleetsift.streaming.run import Job, score_with

log = logging.getLogger(__name__)

_ORPHAN_S = 1.0  # between looks at who the parent is


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of itself: rows by status, and references not yet scored, once it knows."""

    rows: Counter[str] = field(default_factory=Counter)
    lag: int | None = None
    given_up: dict[int, str] = field(default_factory=dict)  # partitions, and why
    readings: Readings = field(default_factory=Readings)
    events: list[LogEvent] = field(default_factory=list)  # since it told last


class Worker:
    """The actor: `open` and `score` run the hot path in one thread while `tell` and `drain` answer in others."""

    def __init__(self, partitions: tuple[int, ...], number: int, style: LogStyle) -> None:
        configure_logs(style, {"worker": number, "partitions": partitions})  # into a file of Ray's
        self._events = keep_events()
        self._reading = partitions
        self._stop = Event()
        self._meter = Meter()
        self._engine: Engine
        exit_when_orphaned()

    def open(self, open_engine: Callable[[], Engine], back_off_s: float, *, try_it: bool) -> None:
        """Open the engine; where workers before this one have died, after a pause, and on a drawn frame first.

        Who dies in here was killed by no frame of the fleet.
        """
        self._stop.wait(back_off_s)
        self._engine = open_engine()
        if try_it:
            self._engine.score(FrameBatch(canary_frames(1, self._engine.frame_size), (None,)))

    def score(self, job: Job) -> None:
        """Run the hot path to its end; may be asked again, for other partitions or with other care."""
        self._reading = job.partitions
        score_with(self._engine, job, self._stop, self._meter)

    def tell(self) -> Told:
        """How far it is."""
        given_up = dict(self._meter.given_up)
        lag = self._meter.lag(len(set(self._reading).difference(given_up)))
        return Told(Counter(self._meter.rows), lag, given_up, self._meter.read(), self._events.take())

    def drain(self) -> None:
        """Stop reading; what was read is scored and published."""
        self._stop.set()


def exit_when_orphaned() -> None:
    """End this process, as it stands, once the one that started it is gone: the raylet of its node.

    Nobody could tell such a worker to stop, and others are given its partitions. Ray ends it too, but not before the
    end of what it does.
    """
    raylet = os.getppid()

    def watch() -> None:
        while os.getppid() == raylet:
            time.sleep(_ORPHAN_S)
        log.error("the raylet of this node is gone; so is this worker")
        os._exit(1)

    Thread(target=watch, name="orphan", daemon=True).start()
