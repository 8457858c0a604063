"""Partitions that are added while a run goes on, with real Ray: they are read from the beginning, nothing twice."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import msgspec
import pytest
import ray
from kafka import KafkaAdminClient

from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.progress import RunProgress
from tests.oracle import Acknowledged, check_store
from tests.streaming.conftest import fill

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_partitions_that_are_added_are_read_from_the_beginning(new_fleet: Callable[..., FleetSpec]) -> None:
    """Two workers on two partitions, then on five; the topic's old and new partitions go on being filled."""
    spec = new_fleet(partitions=2, workers=WorkersSpec(count=2, batch=4, threads=1), flush_rows=50)
    acknowledged: Acknowledged = fill(spec, range(200))
    wider = msgspec.structs.replace(spec, kafka_section=msgspec.structs.replace(spec.kafka, partitions=5))
    stop = Event()

    def widen_then_stop(progress: RunProgress) -> None:
        if progress.frames == len(acknowledged) == 200:
            admin = KafkaAdminClient(bootstrap_servers=list(spec.kafka.brokers))
            admin.create_partitions({spec.kafka.topic: 5})
            admin.close()
            acknowledged.update(fill(wider, range(200, 700)))
        elif progress.frames == 700:
            stop.set()

    done = run_fleet(spec, until_end=False, stop=stop, on_progress=widen_then_stop, engine=null_engine)
    assert check_store(Path(spec.store.path), acknowledged) == done.rows == {"ok": 700}
    assert (done.lag, done.restarts, done.workers) == (0, 0, 2)
