"""Resident memory of a worker over a long run: its slope, once everything has been allocated once."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil

from benchmarks.announced import Material, announce
from fleetsift import FleetSpec
from fleetsift.engines.function import null_engine
from fleetsift.engines.threads import thread_budget
from fleetsift.streaming.kafka.broker import embedded_broker
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.topics import open_topic

_MIB = 2**20
_MOST_FRAMES_PER_S = 2_000  # no faster on two cores


@dataclass
class Memory:
    """Resident MiB of this process, and frames scored, by time."""

    seconds: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def growth(self) -> tuple[float, float]:
        """MiB an hour and MiB a million frames: the median slope over the second half of the run."""
        half = len(self.mib) // 2
        mib, seconds = np.array(self.mib[half:]), np.array(self.seconds[half:])
        frames = np.array(self.frames[half:], float)
        apart = max(1, len(mib) // 3)
        rises = mib[apart:] - mib[:-apart]
        an_hour = float(np.median(rises / (seconds[apart:] - seconds[:-apart]))) * 3600
        a_million = float(np.median(rises / np.maximum(1.0, frames[apart:] - frames[:-apart]))) * 1e6
        return an_hour, a_million


def watch_memory(material: Material, size: tuple[int, int], folder: Path, seconds: float) -> Memory:
    """Stream for so long, in a process of its own, with an engine that costs nothing: it passes hours in minutes.

    Segments are small, so that their coming and going is in it.
    """
    with embedded_broker() as broker, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        references = material.references(int(seconds * _MOST_FRAMES_PER_S))
        spec = announce(material, broker, folder, references, flush_rows=1_000)
        return process.submit(_stream, spec, size, seconds).result()


def _stream(spec: FleetSpec, size: tuple[int, int], seconds: float) -> Memory:
    memory, stop, meter, me = Memory(), Event(), Meter(), psutil.Process()
    topic = open_topic(spec)
    job = Job(spec, topic, topic.partitions, True, max(1, thread_budget() // 2), lambda: null_engine(size))
    running = Thread(target=score_partitions, args=(job, stop, meter))
    began = time.monotonic()
    running.start()
    try:
        while running.is_alive() and time.monotonic() - began < seconds:
            time.sleep(0.25)
            memory.seconds.append(time.monotonic() - began)
            memory.frames.append(meter.rows.total())
            memory.mib.append(me.memory_info().rss / _MIB)
    finally:
        stop.set()
        running.join()
    return memory
