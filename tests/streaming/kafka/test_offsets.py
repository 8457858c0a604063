"""The consumer group that `kafka.group` names shows the lag to Kafka's own tools, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from kafka import KafkaAdminClient

from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import Namespace
from fleetsift.streaming.kafka.offsets import commit_offsets
from fleetsift.streaming.kafka.topic import describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.operations.beside import operations
from fleetsift.streaming.progress import RunProgress
from tests.oracle import check_store
from tests.streaming.conftest import fill, run_once

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


def run_watched(spec: FleetSpec) -> Meter:
    """Score what is on the topic, in this process, with all that goes on beside a run."""
    topic, engine = describe_topic(spec.kafka), null_engine()
    namespace = Namespace(topic.name, topic.topic_id, engine.ensemble_id, engine.classes)
    with operations(spec, topic, namespace) as tell:
        meter = run_once(spec)
        tell(RunProgress(dict(meter.rows), 0, 1.0, 1, 0, readings=meter.read()))
    return meter


def test_offsets_follow_what_is_published_and_are_never_read(new_fleet: NewFleet) -> None:
    spec = grouped(new_fleet(partitions=2))
    acknowledged = fill(spec, range(30))
    run_watched(spec)
    assert committed(spec) == {0: 15, 1: 15}
    acknowledged |= fill(spec, range(30, 50))
    commit_offsets(spec.kafka, GROUP, {0: 25, 1: 3})  # somebody moves them: ahead of the store, and behind it
    assert run_watched(spec).rows == {"ok": 20}
    check_store(Path(spec.store.path), acknowledged)
    assert committed(spec) == {0: 25, 1: 25}
