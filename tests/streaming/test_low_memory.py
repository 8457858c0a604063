"""Rows 16 and 24: far more load than memory, and a bomb. The hot path in a real cgroup holds no more than it may."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import numpy as np
from PIL import Image

from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import check_store, produce
from tests.streaming.conftest import record
from tests.streaming.memory_groups import MemoryGroup, memory_groups
from tests.streaming.running import PATIENCE_S

SIZE = (512, 1024)  # pixels of a frame: 1.5 MiB
FRAMES = 520
MOST_BYTES = 192 * 2**20
BOMB = (12_000, 12_000)  # pixels; 432 MB once decoded, from a file of 18 kB


def score_in(group: MemoryGroup, encoded_spec: bytes) -> None:
    """A worker with an engine that takes its time; what it has before it enters the group is not counted."""
    logging.disable(logging.CRITICAL)
    row = constant_row()

    def score(_: np.ndarray) -> object:
        time.sleep(0.025)
        return row

    spec = msgspec.json.decode(encoded_spec, type=FleetSpec)
    engine = FunctionEngine(score, frame_size=SIZE)  # type: ignore[arg-type]
    group.enter()
    score_partitions(Job(spec, describe_topic(spec.kafka), (0,), True, 2, lambda: engine), Event(), Meter())


def test_far_more_load_than_memory_waits_outside(new_fleet: Callable[..., FleetSpec], frames_root: Path) -> None:
    """Frames of four times what the worker may have, an engine slower than the rest of the way; and two single frames
    that are too large: an image of more than its memory in a small file, and a large file.
    """
    pixels = np.full((*SIZE, 3), 127, np.uint8)
    Image.fromarray(pixels).save(frames_root / "large.jpg")
    Image.new("1", BOMB).save(frames_root / "bomb.png")
    with (frames_root / "sparse.jpg").open("wb") as file:
        file.truncate(10**8)
    spec = new_fleet(partitions=1, workers=WorkersSpec(batch=8))
    create_topic(spec.kafka)
    frames = [(f"f{i}", record(f"f{i}", uri="large.jpg"), 0) for i in range(FRAMES)]
    frames[FRAMES // 2 : FRAMES // 2] = [(uri, record(uri, uri=uri), 0) for uri in ("bomb.png", "sparse.jpg")]
    acknowledged = produce(spec.kafka.brokers[0], spec.kafka.topic, frames)
    with memory_groups() as new_group:
        group = new_group(MOST_BYTES)
        worker = multiprocessing.get_context("spawn").Process(target=score_in, args=(group, msgspec.json.encode(spec)))
        worker.start()
        worker.join(PATIENCE_S)
        assert (worker.exitcode, group.kills) == (0, 0)
        assert group.most_bytes <= MOST_BYTES < FRAMES * pixels.nbytes / 4
    assert check_store(spec.store.path, acknowledged) == {"ok": FRAMES, "too_large": 2}
