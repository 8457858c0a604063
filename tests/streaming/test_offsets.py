"""The consumer group that `kafka.group` names shows the lag to Kafka's own tools, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
from kafka import KafkaAdminClient

from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.streaming.offsets import commit_offsets
from fleetsift.streaming.supervisor import run_fleet
from tests.oracle import check_store
from tests.streaming.conftest import fill

NewFleet = Callable[..., FleetSpec]
GROUP = "fleetsift-lag"


def committed(spec: FleetSpec) -> dict[int, int]:
    """What a lag exporter sees."""
    admin = KafkaAdminClient(bootstrap_servers=list(spec.kafka.brokers))
    found = admin.list_group_offsets(GROUP)
    admin.close()
    offsets = found.get(GROUP, found)
    return {tp.partition: at.offset for tp, at in offsets.items() if tp.topic == spec.kafka.topic}


def grouped(spec: FleetSpec) -> FleetSpec:
    return msgspec.structs.replace(spec, kafka_section=msgspec.structs.replace(spec.kafka, group=GROUP))


def test_offsets_follow_what_is_published_and_are_never_read(new_fleet: NewFleet) -> None:
    spec = grouped(new_fleet(partitions=2, workers=WorkersSpec(batch=4, cpus=0.5, threads=1)))
    acknowledged = fill(spec, range(30))
    run_fleet(spec, until_end=True, stop=Event(), engine=null_engine)
    assert committed(spec) == {0: 15, 1: 15}
    acknowledged |= fill(spec, range(30, 50))
    commit_offsets(spec.kafka, GROUP, {0: 25, 1: 3})  # somebody moves them: ahead of the store, and behind it
    done = run_fleet(spec, until_end=True, stop=Event(), engine=null_engine)
    assert done.rows == {"ok": 20}
    check_store(Path(spec.store.path), acknowledged)
    assert committed(spec) == {0: 25, 1: 25}
