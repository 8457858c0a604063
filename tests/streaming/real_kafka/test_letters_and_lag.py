"""Dead letters and the lag's group on Apache Kafka: what the embedded broker, which forgets, cannot show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.operations.dead_letters import carry_letters
from tests.oracle import check_store
from tests.streaming.conftest import run_once
from tests.streaming.kafka.test_offsets import committed, grouped, run_watched
from tests.streaming.operations.test_dead_letters import check_letters, send_mixed, with_letters
from tests.streaming.real_kafka.server import KafkaServer

pytestmark = pytest.mark.slow


def test_letters_catch_up_when_their_topic_is_back(new_fleet: Callable[..., FleetSpec], kafka: KafkaServer) -> None:
    """Row 36: down with the broker, killed by -9, while rows are published already; and the lag's group beside it."""
    spec = grouped(with_letters(new_fleet(partitions=2)))
    acknowledged = send_mixed(spec)
    run_watched(spec)
    assert len(check_letters(spec)) == 15
    acknowledged |= send_mixed(spec, times=2)
    rows = run_once(spec).rows  # nobody carries letters
    kafka.kill()
    with pytest.raises(SourceError, match="no answer"):
        carry_letters(spec)
    kafka.start()
    assert carry_letters(spec) == 10
    assert len(check_letters(spec)) == 25
    assert carry_letters(spec) == 0
    assert sum(check_store(Path(spec.store.path), acknowledged).values()) == 24 + rows.total()
    assert committed(spec) == {0: 12, 1: 12}
