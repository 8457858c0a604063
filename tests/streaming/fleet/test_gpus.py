"""A GPU for each worker, or a share of one: what Ray reserves and shows them, on a machine that says it has two."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

import pytest
import ray

from fleetsift.engines.engine import Engine
from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.streaming.fleet.supervisor import run_fleet
from tests.oracle import check_store
from tests.streaming.conftest import fill

pytestmark = pytest.mark.slow


def engine_that_notes_its_gpus(notes: Path) -> Engine:
    """Writes down which cards the worker that opens it may see."""
    if ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        (notes / str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    return null_engine()


@pytest.fixture(scope="module")
def two_gpus() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("gpus", "on_each"), [(1, 1), (0.5, 2)])
def test_as_many_workers_as_the_gpus_have_room_for(
    new_fleet: Callable[..., FleetSpec], tmp_path: Path, gpus: float, on_each: int
) -> None:
    workers = WorkersSpec(count=6, batch=4, cpus=0.5, threads=1, gpus=gpus, runtime=RuntimeSpec(name="cuda"))
    spec = new_fleet(partitions=6, workers=workers)
    acknowledged = fill(spec, range(60))
    notes = tmp_path / "notes"
    notes.mkdir()
    done = run_fleet(spec, until_end=True, stop=Event(), engine=partial(engine_that_notes_its_gpus, notes))
    assert check_store(Path(spec.store.path), acknowledged) == {"ok": 60}
    assert done.workers == 2 * on_each
    assert Counter(note.read_text() for note in notes.iterdir()) == {"0": on_each, "1": on_each}
