"""Resident memory of a worker over a long run: its slope, with its standard error, once all has been allocated once.

python -m benchmarks.endurance [--minutes 25] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil

from benchmarks.announced import Material, announce, demo
from fleetsift import FleetSpec, FrameMessage, publish
from fleetsift.engines.function import null_engine
from fleetsift.streaming.kafka.broker import embedded_broker
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.topics import open_topic
from fleetsift.threads import thread_budget

_MIB = 2**20
_WARM_UP = 1 / 3  # of the run
_BLOCKS = 12  # of what follows, each one observation: neighbouring samples are no evidence of their own
_SAMPLES = 1_000  # few, since they lie in the memory that they are of
_LEAD = 20_000  # references that wait on the topic


@dataclass(frozen=True, slots=True)
class Slope:
    """How much something grows with something else."""

    mean: float
    standard_error: float


@dataclass
class Memory:
    """Resident MiB of one process, and frames scored, by time."""

    seconds: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def an_hour(self) -> Slope:
        """MiB an hour after the warm-up."""
        slope = _slope(np.array(self.seconds), np.array(self.mib))
        return Slope(slope.mean * 3600, slope.standard_error * 3600)

    def a_frame(self) -> Slope:
        """Bytes a frame after the warm-up: what a leak would be, whatever the pace."""
        slope = _slope(np.array(self.frames, float), np.array(self.mib))
        return Slope(slope.mean * _MIB, slope.standard_error * _MIB)


def _slope(x: np.ndarray, y: np.ndarray) -> Slope:
    """Least squares through the means of the blocks that follow the warm-up."""
    begin = int(len(x) * _WARM_UP)
    across, up = (np.array([part.mean() for part in np.array_split(v[begin:], _BLOCKS)]) for v in (x, y))
    off = across - across.mean()
    mean = float(off @ up / (off @ off))
    left = up - up.mean() - mean * off
    return Slope(mean, float(np.sqrt(left @ left / (_BLOCKS - 2) / (off @ off))))


def watch_memory(material: Material, size: tuple[int, int], folder: Path, seconds: float) -> Memory:
    """Stream for so long, in a process of its own, with an engine that costs nothing: hours pass in minutes.

    Segments are small, so that their coming and going is in it. References are announced as they are scored.
    """
    context = get_context("spawn")
    scored = context.Value("q", 0)
    over = Event()
    with (
        embedded_broker() as broker,
        ProcessPoolExecutor(1, mp_context=context, initializer=_share, initargs=(scored,)) as process,
    ):
        spec = announce(material, broker, folder, (), flush_rows=1_000)
        feeding = Thread(target=publish, args=(spec.kafka, _ahead(material, scored, over)))
        feeding.start()
        try:
            return process.submit(_stream, spec, size, seconds).result()
        finally:
            over.set()
            feeding.join()


def _ahead(material: Material, scored: Synchronized[int], over: Event) -> Iterator[FrameMessage]:
    """References for as long as the run lasts, never far ahead of it."""
    for i, frame in enumerate(cycle(material.frames)):
        while i > scored.value + _LEAD:
            if over.wait(0.05):
                return
        yield FrameMessage(frame_id=f"{i:08d}", session_id=f"s{i % 16}", uri=frame.uri, metadata=frame.metadata)


def _share(scored: Synchronized[int]) -> None:
    global _scored  # noqa: PLW0603 - a process's own, set as it starts: it cannot be sent with the work
    _scored = scored


_scored: Synchronized[int]


def _stream(spec: FleetSpec, size: tuple[int, int], seconds: float) -> Memory:
    memory, stop, meter, me = Memory(), Event(), Meter(), psutil.Process()
    topic = open_topic(spec)
    job = Job(spec, topic, topic.partitions, False, max(1, thread_budget() // 2), lambda: null_engine(size))
    running = Thread(target=score_partitions, args=(job, stop, meter))
    began = time.monotonic()
    running.start()
    try:
        while running.is_alive() and time.monotonic() - began < seconds:
            time.sleep(seconds / _SAMPLES)
            _scored.value = meter.rows.total()
            memory.seconds.append(time.monotonic() - began)
            memory.frames.append(_scored.value)
            memory.mib.append(me.memory_info().rss / _MIB)
    finally:
        stop.set()
        running.join()
    return memory


def growth(memory: Memory) -> dict[str, float]:
    """The figures of a run."""
    an_hour, a_frame = memory.an_hour(), memory.a_frame()
    return {
        "rss_growth_mib_per_hour": an_hour.mean,
        "rss_growth_mib_per_hour_standard_error": an_hour.standard_error,
        "rss_growth_bytes_per_frame": a_frame.mean,
        "rss_growth_bytes_per_frame_standard_error": a_frame.standard_error,
        "rss_mib": float(np.median(memory.mib)),
        "rss_soak_s": memory.seconds[-1],
        "rss_soak_frames": float(memory.frames[-1]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Stream for some minutes and print what memory did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--json", type=Path, help="where to write the figures and every sample")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory = watch_memory(demo(folder), (192, 320), folder, options.minutes * 60)
    for figure, value in growth(memory).items():
        print(f"{figure:45} {value:14.3f}")
    if options.json:
        options.json.write_text(json.dumps(growth(memory) | {"samples": asdict(memory)}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
