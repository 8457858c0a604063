"""Between the stream and its broker the wire is late, half open, or cut again and again; Row 13."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from fleetsift.schemas.fleet import FleetSpec
from tests.oracle import check_store
from tests.streaming.conftest import fill
from tests.streaming.real_kafka.server import KafkaServer
from tests.streaming.real_kafka.wire import Trouble, Wire
from tests.streaming.running import Running, wait_for

pytestmark = pytest.mark.slow
NewFleet = Callable[..., FleetSpec]


@pytest.fixture
def wire(kafka: KafkaServer) -> Iterator[Wire]:
    with Wire(kafka.wire_port, kafka.behind_wire).run() as wire:
        yield wire


def behind(spec: FleetSpec, kafka: KafkaServer) -> FleetSpec:
    reach = msgspec.structs.replace(spec.kafka, brokers=(f"127.0.0.1:{kafka.wire_port}",), patience_s=600.0)
    return msgspec.structs.replace(spec, kafka_section=reach)


@pytest.mark.parametrize("trouble", [Trouble.LATE, Trouble.HALF_OPEN, Trouble.RESET])
def test_the_oracle_holds_and_the_lag_drains(
    new_fleet: NewFleet, kafka: KafkaServer, wire: Wire, trouble: Trouble
) -> None:
    """Trouble comes while records are read and published, and goes; connections that died of it are made anew.

    A half-open connection is noticed when a request has waited 30 s for its answer (kafka-python's request_timeout_ms).
    """
    spec = new_fleet(partitions=2, flush_rows=50)
    acknowledged = fill(spec, range(400))
    running = Running(behind(spec, kafka))
    running.begin()
    running.wait_for_rows(100)
    for begin in range(400, 1600, 400):
        wire.change(trouble)
        acknowledged |= fill(spec, range(begin, begin + 400))
        time.sleep(1.5)
        wire.change(Trouble.NONE)
    running.wait_for_rows(1600)
    wait_for(lambda: running.meter.lag(2) == 0)
    running.end()
    check_store(Path(spec.store.path), acknowledged)
    assert wire.resets or trouble is not Trouble.RESET
