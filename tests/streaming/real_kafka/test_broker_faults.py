"""What happens to a topic and its broker while the stream runs: killed by -9, deleted and made again, cut off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import msgspec
import pytest
from kafka import KafkaAdminClient

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.watch import confirm_topic, watch_topic
from tests.oracle import check_store
from tests.streaming.conftest import fill, run_once
from tests.streaming.real_kafka.server import KafkaServer
from tests.streaming.running import PATIENCE_S, Running, wait_for

pytestmark = pytest.mark.slow
NewFleet = Callable[..., FleetSpec]


def make_again(spec: FleetSpec) -> None:
    """Delete the topic, and make another of its name as soon as that is possible."""
    admin = KafkaAdminClient(bootstrap_servers=list(spec.kafka.brokers))
    admin.delete_topics([spec.kafka.topic])
    admin.close()
    create_topic(spec.kafka)


def test_a_broker_killed_and_started_again_on_its_data(new_fleet: NewFleet, kafka: KafkaServer) -> None:
    spec = new_fleet(partitions=2, flush_rows=50)
    acknowledged = fill(spec, range(300))
    running = Running(spec)
    running.begin()
    running.wait_for_rows(300)
    acknowledged |= fill(spec, range(300, 1300))
    kafka.kill()
    time.sleep(3)  # long enough for a publish to fall due
    assert running.thread.is_alive()
    kafka.start()
    acknowledged |= fill(spec, range(1300, 1600))
    running.wait_for_rows(1600)
    assert running.meter.lag(2) == 0
    running.end()
    check_store(Path(spec.store.path), acknowledged)
    assert run_once(spec).rows == {}


def test_a_broker_that_is_stopped_for_a_while(
    new_fleet: NewFleet, kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGSTOP and SIGCONT: connections stay and nothing answers, for longer than a publish falls due."""
    spec = new_fleet(partitions=2, flush_rows=50)
    acknowledged = fill(spec, range(300))
    running = Running(spec)
    running.begin()
    running.wait_for_rows(300)
    acknowledged |= fill(spec, range(300, 1300))
    kafka.pause()
    time.sleep(12)
    kafka.go_on()
    acknowledged |= fill(spec, range(1300, 1600))
    running.wait_for_rows(1600)
    wait_for(lambda: running.meter.lag(2) == 0)
    running.end()
    check_store(Path(spec.store.path), acknowledged)


def test_a_worker_that_starts_while_the_broker_is_away_waits_for_it(
    new_fleet: NewFleet, kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    spec = new_fleet(partitions=2, flush_rows=50)
    acknowledged = fill(spec, range(300))
    topic = describe_topic(spec.kafka)
    kafka.kill()
    impatient = replace(topic, spec=msgspec.structs.replace(topic.spec, patience_s=1.0))
    with pytest.raises(SourceError, match="no answer from"):
        Running(spec, topic=impatient).score()
    running = Running(spec, topic=topic)
    running.begin()
    wait_for(lambda: "asking again, for 5" in caplog.text)  # of its 600 seconds
    kafka.start()
    running.wait_for_rows(300)
    running.end()
    check_store(Path(spec.store.path), acknowledged)


def test_a_new_topic_of_the_same_name_is_not_taken_for_the_old_one(new_fleet: NewFleet, tmp_path: Path) -> None:
    """It is filled further than the old one, so that no offset is out of range and nothing else would tell."""
    spec = new_fleet(partitions=1, flush_rows=20)
    store = Path(spec.store.path)
    old = fill(spec, range(60))
    running = Running(spec)
    running.begin()
    running.wait_for_rows(60)
    make_again(spec)
    new = fill(spec, range(1000, 1200))
    running.thread.join(timeout=PATIENCE_S)
    assert not running.thread.is_alive()
    assert running.error is not None
    assert "was deleted and made again" in str(running.error) or "was truncated or made again" in str(running.error)
    assert run_once(spec).rows == {"ok": 200}
    (tmp_path / "new").mkdir()
    [of_new] = store.glob(f"topic=*@{describe_topic(spec.kafka).topic_id}")
    of_new.rename(tmp_path / "new" / of_new.name)
    check_store(tmp_path / "new", new)
    check_store(store, old)


def test_a_watch_tells_of_partitions_and_of_another_topic(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=2)
    create_topic(spec.kafka)
    topic = describe_topic(spec.kafka)
    with watch_topic(topic) as latest:
        assert latest() == topic
        admin = KafkaAdminClient(bootstrap_servers=list(spec.kafka.brokers))
        admin.create_partitions({spec.kafka.topic: 5})
        admin.close()
        wait_for(lambda: latest() != topic)
        assert latest().partitions == (0, 1, 2, 3, 4)
        make_again(spec)
        with pytest.raises(SourceError, match="was deleted and made again during the run"):
            wait_for(lambda: latest().topic_id != topic.topic_id)
    with pytest.raises(SourceError, match="was deleted and made again during the run"):
        confirm_topic(topic, Event())
