"""Real processes on a real broker: workers join, leave, are stopped and go on, are killed by -9, all at random.

Each worker is the hot path with some of the topic's partitions, of its own batch and segment sizes; several own the
same ones at once, as after a failed hand-over. Records come in meanwhile. Counted by the oracle at the end.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event

import msgspec
import numpy as np

from fleetsift.engines.engine import Engine
from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.errors import FleetsiftError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.kafka.topic import describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import Acknowledged, check_store
from tests.streaming.conftest import fill

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.soak.processes"])


def slow_engine() -> Engine:
    """A millisecond a frame: there is always something under way when a signal comes."""
    row = constant_row()

    def score(_: np.ndarray) -> object:
        time.sleep(0.001)
        return row

    return FunctionEngine(score)  # type: ignore[arg-type]


def work(encoded_spec: bytes, partitions: tuple[int, ...], until_end: bool) -> None:
    """One worker process; SIGTERM drains it."""
    logging.disable(logging.CRITICAL)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    spec = msgspec.json.decode(encoded_spec, type=FleetSpec)
    job = Job(spec, describe_topic(spec.kafka), partitions, until_end, 2, slow_engine)
    score_partitions(job, stop, Meter())


def start_worker(spec: FleetSpec, partitions: tuple[int, ...], *, until_end: bool = False) -> ForkServerProcess:
    """Start the hot path in a process of its own."""
    worker = _PROCESSES.Process(target=work, args=(msgspec.json.encode(spec), partitions, until_end))
    worker.start()
    return worker


@dataclass
class Crowd:
    """Some workers of one topic and store, and what a seed lets happen to them."""

    spec: FleetSpec
    seed: int
    events: Counter[str] = field(default_factory=Counter)
    acknowledged: Acknowledged = field(default_factory=dict)
    _workers: list[ForkServerProcess] = field(default_factory=list)

    def run(self, seconds: float) -> int:
        """Let things happen for so long, then score the rest, and count; returns the rows."""
        dice, until_s = random.Random(self.seed), time.monotonic() + seconds
        self.acknowledged |= fill(self.spec, range(60))
        for _ in range(3):
            self._join(dice)
        try:
            while time.monotonic() < until_s:
                self._workers = [worker for worker in self._workers if worker.is_alive()]
                happening = dice.choice([self._join, self._join, self._kill, self._stop, self._go_on, self._leave])
                happening(dice)
                if dice.random() < 0.5:
                    begin = len(self.acknowledged)
                    self.acknowledged |= fill(self.spec, range(begin, begin + dice.randint(10, 120)))
                time.sleep(dice.uniform(0.05, 0.6))
            self._score_the_rest()
            for worker in self._workers:  # zombies go on after all is done, and are drained
                _signal(worker, signal.SIGCONT)
                _signal(worker, signal.SIGTERM)
                worker.join(60)
                assert worker.exitcode is not None, f"seed {self.seed}: a worker hangs"
        finally:
            for worker in self._workers:
                _signal(worker, signal.SIGKILL)
        return check_store(Path(self.spec.store.path), self.acknowledged).total()

    def _score_the_rest(self) -> None:
        try:
            work(msgspec.json.encode(self.spec), tuple(range(self.spec.kafka.partitions)), until_end=True)
        except FleetsiftError as error:
            raise AssertionError(f"seed {self.seed}: the store cannot be gone on from: {error}") from error
        finally:
            logging.disable(logging.NOTSET)

    def _join(self, dice: random.Random) -> None:
        if len(self._workers) >= 5:
            return
        every = range(self.spec.kafka.partitions)
        partitions = tuple(sorted(dice.sample(every, dice.randint(1, len(every)))))
        workers = msgspec.structs.replace(self.spec.workers, batch=dice.choice([1, 4, 16]))
        store = msgspec.structs.replace(self.spec.store, flush_rows=dice.choice([1, 7, 50, 1000]), flush_s=0.5)
        spec = msgspec.structs.replace(self.spec, workers=workers, store=store)
        self._workers.append(start_worker(spec, partitions))
        self.events["joined"] += 1

    def _kill(self, dice: random.Random) -> None:
        self._send(dice, signal.SIGKILL, "killed")

    def _stop(self, dice: random.Random) -> None:
        self._send(dice, signal.SIGSTOP, "stopped")

    def _go_on(self, dice: random.Random) -> None:
        self._send(dice, signal.SIGCONT, "went on")

    def _leave(self, dice: random.Random) -> None:
        self._send(dice, signal.SIGTERM, "left")

    def _send(self, dice: random.Random, number: signal.Signals, event: str) -> None:
        if self._workers:
            _signal(dice.choice(self._workers), number)
            self.events[event] += 1


def _signal(worker: ForkServerProcess, number: signal.Signals) -> None:
    if worker.is_alive() and worker.pid is not None:
        os.kill(worker.pid, number)
