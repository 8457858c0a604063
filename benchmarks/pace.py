"""How fast the stream is beside its engine: steady paces, with what starting and ending take told apart.

A steady pace is that of all batches but the first, from the moment when the first was done: neither the broker's first
answer nor the last segment's publishing is in it. Segments that are published meanwhile are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np

from benchmarks.announced import BATCH, Material, announce
from fleetsift import Engine, FrameBatch
from fleetsift.engines.function import FunctionEngine
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.scores import FrameScores
from fleetsift.schemas.status import Problem
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.topics import open_topic
from fleetsift.threads import thread_budget


@dataclass(frozen=True, slots=True)
class Pace:
    """One run over some frames."""

    frames_per_s: float  # steady
    before_s: float  # until the first batch was done
    after_s: float  # from the last batch until everything was published
    cpu_ms: float  # of this process, a frame, over the whole run


@dataclass(slots=True)
class _Clock(Meter):
    """A meter that also remembers when each batch was done."""

    done: list[tuple[float, int]] = field(default_factory=list)  # (when, frames in it)

    def count(self, problems: tuple[Problem | None, ...]) -> None:
        """Add one batch."""
        Meter.count(self, problems)
        if problems:
            self.done.append((time.perf_counter(), len(problems)))


def _pace(began: float, cpu_began: float, done: list[tuple[float, int]], over: float) -> Pace:
    first, last, frames = done[0][0], done[-1][0], sum(size for _, size in done)
    cpu_ms = (time.process_time() - cpu_began) * 1e3 / frames
    return Pace((frames - done[0][1]) / (last - first), first - began, over - last, cpu_ms)


@dataclass(frozen=True, slots=True)
class WaitingEngine(FunctionEngine):
    """An engine that only waits, as one does whose networks are on a GPU: what Python costs beside it is seen."""

    ms_a_frame: float = 1.0

    def score(self, frames: FrameBatch) -> FrameScores:
        """Score a batch, and wait for what is left of its time."""
        until_s = time.perf_counter() + len(frames) * self.ms_a_frame / 1e3
        scores = FunctionEngine.score(self, frames)
        time.sleep(max(0.0, until_s - time.perf_counter()))
        return scores


def engine_alone(engine: Engine, material: Material, frames: int) -> Pace:
    """The engine over frames that are decoded already."""
    reader = FrameReader.open(FramesSpec(roots=(str(material.root),)))
    pixels = np.stack([reader.read(message.uri, engine.frame_size) for message in material.take(frames)])
    done: list[tuple[float, int]] = []
    began, cpu_began = time.perf_counter(), time.process_time()
    for begin in range(0, len(pixels), BATCH):
        batch = pixels[begin : begin + BATCH]
        engine.score(FrameBatch(batch, (None,) * len(batch)))
        done.append((time.perf_counter(), len(batch)))
    pace = _pace(began, cpu_began, done, done[-1][0])
    engine.close()
    return pace


def whole_stream(
    open_engine: Callable[[], Engine], material: Material, broker: str, folder: Path, frames: int, flush_rows: int = 128
) -> Pace:
    """From the topic to the store in this process, with an engine that is open already, as a worker has."""
    spec = announce(material, broker, folder, material.take(frames), flush_rows=flush_rows)
    topic = open_topic(spec)
    engine, clock = open_engine(), _Clock()
    job = Job(spec, topic, topic.partitions, True, max(1, thread_budget() // 2), lambda: engine)
    began, cpu_began = time.perf_counter(), time.process_time()
    score_partitions(job, Event(), clock)
    pace = _pace(began, cpu_began, clock.done, time.perf_counter())
    if clock.rows != {"ok": frames}:
        raise RuntimeError(f"expected {frames} scored frames, got {dict(clock.rows)}")
    return pace
