"""Dead letters and the lag's group on Apache Kafka: what the embedded broker cannot show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from fleetsift.engines.function import null_engine
from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.streaming.dead_letters import carry_letters
from fleetsift.streaming.kafka import create_topic
from fleetsift.streaming.supervisor import run_fleet
from tests.oracle import check_store
from tests.streaming.test_dead_letters import check_letters, send_mixed, with_letters
from tests.streaming.test_offsets import committed, grouped

pytestmark = pytest.mark.slow


def take_letters(spec: FleetSpec, *, yes: bool) -> None:
    """Let the dead letters' topic take records, or not: no record is small enough for it."""
    admin = KafkaAdminClient(bootstrap_servers=list(spec.kafka.brokers))
    configs = {"max.message.bytes": "1000000" if yes else "10"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, spec.kafka.dead_letters, configs)])
    admin.close()


def test_letters_catch_up_when_their_topic_is_back_and_the_stream_never_waited(
    new_fleet: Callable[..., FleetSpec],
) -> None:
    """Row 36, and the lag's group beside it."""
    workers = WorkersSpec(batch=4, cpus=0.5, threads=1)
    spec = grouped(with_letters(new_fleet(partitions=2, workers=workers)))
    create_topic(msgspec.structs.replace(spec.kafka, topic=spec.kafka.dead_letters or ""))
    take_letters(spec, yes=False)
    acknowledged = send_mixed(spec)
    done = run_fleet(spec, until_end=True, stop=Event(), engine=null_engine)
    assert check_store(Path(spec.store.path), acknowledged) == done.rows
    with pytest.raises(SourceError):
        carry_letters(spec)
    take_letters(spec, yes=True)
    carry_letters(spec)
    assert len(check_letters(spec)) == 15
    assert carry_letters(spec) == 0
    ends = {p: 1 + max(offset for _, q, offset in acknowledged if q == p) for p in (0, 1)}
    assert committed(spec) == ends
