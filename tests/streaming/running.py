"""The hot path in a thread of the test, while the test does something to what it reads or writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread

from fleetsift.engines.engine import Engine
from fleetsift.engines.function import null_engine
from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.kafka.topic import describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.source import Topic

PATIENCE_S = 300  # a hang is a finding, a slow machine is none


def wait_for(happened: Callable[[], bool]) -> None:
    """Return when something has happened; fails where it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"not after {PATIENCE_S} s"
        time.sleep(0.05)


class Running:
    """What a worker does, of all partitions of a topic: what it counted, and the error it ended with."""

    def __init__(
        self, spec: FleetSpec, *, engine: Callable[[], Engine] = null_engine, topic: Topic | None = None
    ) -> None:
        topic = topic or describe_topic(spec.kafka)
        self.meter = Meter()
        self.stop = Event()
        self.error: SourceError | None = None
        self._job = Job(spec, topic, topic.partitions, False, 2, engine)
        self.thread = Thread(target=self._run)

    def begin(self) -> None:
        self.thread.start()

    def score(self) -> None:
        """In the test's own thread."""
        score_partitions(self._job, self.stop, self.meter)

    def wait_for_rows(self, rows: int) -> None:
        wait_for(lambda: self.error is not None or self.meter.rows.total() >= rows)
        assert self.error is None

    def end(self) -> None:
        """Drain it; it must end without an error."""
        self.stop.set()
        self.thread.join(timeout=PATIENCE_S)
        assert not self.thread.is_alive()
        assert self.error is None

    def _run(self) -> None:
        try:
            self.score()
        except SourceError as error:
            self.error = error
