"""Row 16: memory is low. A real kernel kills workers in a real cgroup, Ray kills them, its object store is full."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import ray
from PIL import Image
from ray._common.utils import get_system_memory
from ray._private.internal_api import node_stats
from ray._private.ray_constants import OBJECT_STORE_MINIMUM_MEMORY_BYTES
from ray._private.utils import get_used_memory

from fleetsift.engines.engine import Engine
from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.kafka.topic import create_topic
from tests.oracle import Acknowledged, check_store, produce
from tests.streaming.conftest import record
from tests.streaming.memory_groups import MemoryGroup, memory_groups

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ONE = WorkersSpec(count=1, batch=8, cpus=1, threads=2)
ROOM = 3 * 2**30
SIZE = (512, 1024)  # pixels of a frame: 1.5 MiB
NewFleet = Callable[..., FleetSpec]


@pytest.fixture
def new_group() -> Iterator[Callable[[int], MemoryGroup]]:
    with memory_groups() as make:
        yield make


def engine_in(group: MemoryGroup | None, pause_s: float) -> Engine:
    """An engine that takes its time; in a worker, it moves the worker into a group."""
    row = constant_row()

    def score(_: np.ndarray) -> object:
        time.sleep(pause_s)
        return row

    if group and ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        group.enter()
    return FunctionEngine(score, frame_size=SIZE)  # type: ignore[arg-type]


def engine_that_outgrows_its_machine_once(marker: Path) -> Engine:
    """What the first worker does that opens it."""
    if ray.get_runtime_context().worker.mode == ray.WORKER_MODE and not marker.exists():
        marker.touch()
        hoard = np.ones(2 * ROOM // 8)
        time.sleep(60)
        del hoard
    return engine_in(None, 0.0)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A local Ray with 3 GiB to spare: it kills whoever takes more, before the kernel does."""
    used, total = get_used_memory(), get_system_memory()  # type: ignore[no-untyped-call]
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_MINIMUM_MEMORY_BYTES,
        _system_config={"memory_usage_threshold": (used + ROOM) / total},
    )
    yield
    ray.shutdown()


def send(spec: FleetSpec, uri: str, names: list[str]) -> Acknowledged:
    create_topic(spec.kafka)
    return produce(spec.kafka.brokers[0], spec.kafka.topic, [(name, record(name, uri=uri), 0) for name in names])


def test_a_frame_too_large_for_the_memory_there_is_becomes_a_row(
    new_fleet: NewFleet, frames_root: Path, new_group: Callable[[int], MemoryGroup]
) -> None:
    """The kernel kills worker after worker over one frame; the others are scored."""
    Image.new("RGB", (7000, 7000)).save(frames_root / "giant.png")
    spec, group = new_fleet(partitions=1, workers=ONE), new_group(128 * 2**20)
    acknowledged = send(spec, "good.jpg", [f"f{i}" for i in range(40)])
    acknowledged |= send(spec, "giant.png", ["giant"])
    acknowledged |= send(spec, "good.jpg", [f"f{i}" for i in range(40, 80)])
    done = run_fleet(spec, until_end=True, stop=Event(), engine=partial(engine_in, group, 0.005))
    assert check_store(spec.store.path, acknowledged) == done.rows == {"ok": 80, "crash": 1}
    assert group.kills >= 5


def test_a_worker_that_ray_kills_for_its_memory_is_replaced(new_fleet: NewFleet, tmp_path: Path) -> None:
    """Ray tells of it with another error than of any other death."""
    spec = new_fleet(partitions=1, workers=ONE)
    acknowledged = send(spec, "good.jpg", [f"f{i}" for i in range(20)])
    engine = partial(engine_that_outgrows_its_machine_once, tmp_path / "outgrown")
    done = run_fleet(spec, until_end=True, stop=Event(), engine=engine)
    assert check_store(spec.store.path, acknowledged) == done.rows == {"ok": 20}
    assert done.restarts >= 1


def store_stats() -> Any:
    """What Ray counts of the object store of its one node."""
    [node] = ray.nodes()  # type: ignore[no-untyped-call]
    place = node["NodeManagerAddress"], node["NodeManagerPort"]
    return node_stats(*place, include_memory_info=False).store_stats  # type: ignore[no-untyped-call]


def test_a_full_object_store_is_nothing_to_a_run(new_fleet: NewFleet) -> None:
    """Somebody else has filled it, the smallest that Ray allows; of a run eight bytes of Ray's own go there."""
    held = [ray.put(np.zeros(2**20, np.uint8)) for _ in range(OBJECT_STORE_MINIMUM_MEMORY_BYTES // 2**20 - 1)]
    before = store_stats()
    assert before.object_store_bytes_used > 0.95 * OBJECT_STORE_MINIMUM_MEMORY_BYTES
    spec = new_fleet(partitions=1, workers=ONE)
    acknowledged = send(spec, "good.jpg", [f"f{i}" for i in range(400)])
    done = run_fleet(spec, until_end=True, stop=Event(), engine=partial(engine_in, None, 0.005))
    assert check_store(spec.store.path, acknowledged) == done.rows == {"ok": 400}
    assert store_stats().cumulative_created_bytes < before.cumulative_created_bytes + 1024
    del held
