"""The stream against its engine: end to end on drawn frames, and with an engine that costs nothing.

    python -m benchmarks.stream [--quick] [--json FILE]

One process, one embedded broker, files on the local disk; Ray is left out, it only starts what is measured here.
Every figure is a median over rounds in which all variants take turns; the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np

from fleetsift import Engine, FleetSpec, FrameBatch, FrameMessage, open_engine, publish
from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.demo.fleet import write_fleet
from fleetsift.engines.function import null_engine
from fleetsift.engines.threads import thread_budget
from fleetsift.schemas.fleet import FramesSpec, KafkaSpec, StoreSpec, WorkersSpec
from fleetsift.streaming.broker import embedded_broker
from fleetsift.streaming.frames import FrameReader
from fleetsift.streaming.kafka import describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions

BATCH = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream")
    parser.add_argument("--quick", action="store_true", help="fewer frames and rounds")
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    options = parser.parse_args(arguments)
    sessions, rounds = (5, 3) if options.quick else (14, 7)
    with tempfile.TemporaryDirectory() as folder, embedded_broker() as broker:
        messages = write_fleet(Path(folder) / "fleet", sessions=sessions)
        figures = measure(Path(folder), broker, messages, rounds)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {len(messages)} frames")
    for name, value in figures.items():
        print(f"{name:32} {value:10.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, broker: str, messages: Sequence[FrameMessage], rounds: int) -> dict[str, float]:
    """Frames per second of the engine alone, of the whole stream, and of the stream with a null engine; their ratio."""
    alone: list[float] = []
    whole: list[float] = []
    null: list[float] = []
    size = open_engine(demo_ensemble()).frame_size
    for turn in range(rounds + 1):
        seconds = (
            score_in_memory(open_engine(demo_ensemble(), thread_budget()), folder, messages),
            score_topic(open_engine(demo_ensemble(), thread_budget()), folder, broker, messages),
            score_topic(null_engine(size), folder, broker, messages),
        )
        if turn:  # the first round warms up
            for figures, value in zip((alone, whole, null), seconds, strict=True):
                figures.append(len(messages) / value)
    return {
        "engine_alone_frames_per_s": statistics.median(alone),
        "end_to_end_frames_per_s": statistics.median(whole),
        "null_engine_frames_per_s": statistics.median(null),
        "end_to_end_vs_engine": statistics.median(w / a for w, a in zip(whole, alone, strict=True)),
    }


def score_in_memory(engine: Engine, folder: Path, messages: Sequence[FrameMessage]) -> float:
    """Seconds the engine takes for frames that are decoded already."""
    reader = FrameReader.open(FramesSpec(roots=(str(folder),)))
    pixels = np.stack([reader.read(message.uri, engine.frame_size) for message in messages])
    batches = [pixels[begin : begin + BATCH] for begin in range(0, len(pixels), BATCH)]
    began = time.perf_counter()
    for batch in batches:
        engine.score(FrameBatch(batch, (None,) * len(batch)))
    seconds = time.perf_counter() - began
    engine.close()
    return seconds


def score_topic(engine: Engine, folder: Path, broker: str, messages: Sequence[FrameMessage]) -> float:
    """Seconds from the first poll to the last published segment, for a topic and a store of their own."""
    name = uuid.uuid4().hex
    spec = FleetSpec(
        kafka_section=KafkaSpec(brokers=(broker,), topic=name),
        frames=FramesSpec(roots=(str(folder),)),
        ensemble=str(demo_ensemble()),
        store=StoreSpec(path=str(folder / name)),
        workers=WorkersSpec(batch=BATCH),
    )
    publish(spec.kafka, messages)
    topic = describe_topic(spec.kafka)
    job = Job(spec, topic, topic.partitions, True, max(1, thread_budget() // 2), lambda: engine)
    meter = Meter()
    began = time.perf_counter()
    score_partitions(job, Event(), meter)
    seconds = time.perf_counter() - began
    if meter.rows != {"ok": len(messages)}:
        raise RuntimeError(f"expected {len(messages)} scored frames, got {dict(meter.rows)}")
    return seconds


if __name__ == "__main__":
    main()
