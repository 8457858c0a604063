"""Retention that has passed the end of a chain: the partition is given up, or the gap is sealed; nothing is reset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import numpy as np
import pytest
from kafka import KafkaAdminClient, TopicPartition

from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.errors import PartitionsGivenUp
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.views import ScoreStore
from tests.oracle import Acknowledged, check_store
from tests.streaming.conftest import fill, run_once
from tests.streaming.running import Running, wait_for

pytestmark = pytest.mark.slow
NewFleet = Callable[..., FleetSpec]


def sealing(spec: FleetSpec) -> FleetSpec:
    return msgspec.structs.replace(spec, kafka_section=msgspec.structs.replace(spec.kafka, on_gap="seal"))


def remove_records(spec: FleetSpec, partition: int, before: int) -> None:
    """What retention does, at once."""
    admin = KafkaAdminClient(bootstrap_servers=list(spec.kafka.brokers))
    admin.delete_records({TopicPartition(spec.kafka.topic, partition): before})
    admin.close()


def kept(acknowledged: Acknowledged, partition: int, removed: range) -> Acknowledged:
    return {at: name for at, name in acknowledged.items() if not (at[1] == partition and at[2] in removed)}


def sealed_gaps(spec: FleetSpec) -> list[tuple[int, int, int]]:
    with ScoreStore(spec.store.path) as store:
        query = 'SELECT "partition", "start", "next" FROM segments WHERE gap LIKE \'retention has removed%\''
        return store.sql(query).fetchall()


def test_a_partition_whose_next_records_are_gone_is_given_up_and_the_others_are_read(new_fleet: NewFleet) -> None:
    """Row 11: it says how many were lost; asked to seal, it goes on after them."""
    spec = new_fleet(partitions=3, flush_rows=40)
    acknowledged = fill(spec, range(300))
    assert run_once(spec).rows == {"ok": 300}
    acknowledged |= fill(spec, range(300, 900))
    remove_records(spec, partition=1, before=180)
    acknowledged = kept(acknowledged, 1, range(100, 180))
    for _ in range(2):
        with pytest.raises(PartitionsGivenUp) as caught:
            run_once(spec)
        assert caught.value.reasons == {1: "retention has removed [100, 180): 80 offsets were never scored"}
        assert "kafka.on_gap: seal" in str(caught.value)
        check_store(spec.store.path, {at: name for at, name in acknowledged.items() if at[1] != 1 or at[2] < 100})
    assert run_once(sealing(spec)).rows == {"ok": 120}
    check_store(spec.store.path, acknowledged)
    assert sealed_gaps(spec) == [(1, 100, 180)]
    assert run_once(spec).rows == {}


def test_retention_that_overtakes_a_worker_while_it_reads(new_fleet: NewFleet) -> None:
    """What it has read is scored and published, the gap is sealed, and it goes on after it."""
    spec = sealing(new_fleet(partitions=1, flush_rows=100_000))
    acknowledged = fill(spec, range(600))
    row, scored, go_on = constant_row(), Event(), Event()

    def score(_: np.ndarray) -> object:
        scored.set()
        assert go_on.wait(60)
        return row

    running = Running(spec, engine=lambda: FunctionEngine(score))  # type: ignore[arg-type]
    running.begin()
    assert scored.wait(60)
    acknowledged |= fill(spec, range(600, 5000))
    remove_records(spec, partition=0, before=4000)
    go_on.set()
    running.wait_for_rows(1500)
    wait_for(lambda: running.meter.lag(1) == 0)
    running.end()
    [(partition, start, upto)] = sealed_gaps(spec)
    assert (partition, upto) == (0, 4000)
    assert 500 <= start <= 600
    check_store(Path(spec.store.path), kept(acknowledged, 0, range(start, 4000)))
