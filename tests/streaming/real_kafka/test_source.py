"""The stream on Apache Kafka: what was published is one row each, aborted transactions and markers are none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from kafka import KafkaProducer

from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.source import LostPlace
from tests.oracle import Acknowledged, check_store, produce
from tests.streaming.conftest import fill, record, run_once
from tests.streaming.running import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow
NewFleet = Callable[..., FleetSpec]


class Transactions:
    """A transactional producer, and what it has had committed."""

    def __init__(self, spec: FleetSpec) -> None:
        self._topic = spec.kafka.topic
        name = f"tx-{self._topic}"
        self.producer = KafkaProducer(bootstrap_servers=list(spec.kafka.brokers), transactional_id=name)
        self.producer.init_transactions()
        self.committed: Acknowledged = {}

    def send(self, names: range) -> Acknowledged:
        """Send frames to partition 0, in the transaction that is open."""
        sent = [(f"t{i}", self.producer.send(self._topic, value=record(f"t{i}"), partition=0)) for i in names]
        self.producer.flush()
        return {(self._topic, 0, future.get(timeout=PATIENCE_S).offset): name for name, future in sent}

    def commit(self, names: range) -> None:
        self.producer.begin_transaction()
        sent = self.send(names)
        self.producer.commit_transaction()
        self.committed |= sent

    def abort(self, names: range) -> None:
        self.producer.begin_transaction()
        self.send(names)
        self.producer.abort_transaction()


@contextmanager
def transactions(spec: FleetSpec) -> Iterator[Transactions]:
    made = Transactions(spec)
    yield made
    made.producer.close()


def test_every_record_is_one_row_and_the_next_run_goes_on(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=3, flush_rows=40)
    acknowledged: Acknowledged = {}
    for begin in (0, 500, 1000):
        acknowledged |= fill(spec, range(begin, begin + 500))
        meter = run_once(spec)
        assert meter.rows == {"ok": 500}
        assert meter.lag(3) == 0
        check_store(Path(spec.store.path), acknowledged)
    assert run_once(spec).rows == {}


def test_the_lag_of_hundreds_of_partitions_is_known_at_once(new_fleet: NewFleet) -> None:
    """Where partitions end is told without reading what they hold."""
    spec = new_fleet(partitions=300)
    fill(spec, range(6000))
    lag = describe_topic(spec.kafka).lag({partition: 7 if partition else 21 for partition in range(300)})
    assert lag.unread == dict.fromkeys(range(1, 300), 13)
    assert lag.lost == {0: LostPlace("the topic ends at 20, before 21: it was truncated or made again", None)}


def test_a_partition_weighs_what_is_not_scored_and_what_came_in_the_last_hour(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=2)
    create_topic(spec.kafka)
    hours_ago_ms = int(time.time() * 1e3) - 2 * 3_600_000
    producer = KafkaProducer(bootstrap_servers=list(spec.kafka.brokers))
    for number in range(50):
        old = {"timestamp_ms": hours_ago_ms} if number < 30 else {}
        producer.send(spec.kafka.topic, value=record(f"f{number}"), partition=0, **old)
    producer.flush()
    producer.close()
    assert describe_topic(spec.kafka).loads({0: 40, 1: 0}) == {0: 10 + 20, 1: 0}


def test_what_was_aborted_is_no_row_and_markers_do_not_hide_the_end(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1, flush_rows=10)
    create_topic(spec.kafka)
    with transactions(spec) as tx:
        for begin in (0, 100, 200):  # each ends in aborted records and a marker
            tx.commit(range(begin, begin + 25))
            tx.abort(range(begin + 25, begin + 60))
            meter = run_once(spec)
            assert meter.rows == {"ok": 25}
            assert meter.lag(1) == 0
            check_store(Path(spec.store.path), tx.committed)
        tx.abort(range(300, 310))
        assert run_once(spec).rows == {}
        check_store(Path(spec.store.path), tx.committed)


def test_a_topic_of_aborted_records_only_ends_and_is_empty(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1)
    create_topic(spec.kafka)
    with transactions(spec) as tx:
        tx.abort(range(20))
    assert run_once(spec).rows == {}
    check_store(Path(spec.store.path), {})


def test_the_end_waits_for_a_transaction_that_is_open(new_fleet: NewFleet) -> None:
    """What stands before the end and is not yet decided is waited for: it is committed, and it is scored."""
    spec = new_fleet(partitions=1)
    create_topic(spec.kafka)
    with transactions(spec) as tx:
        tx.commit(range(10))
        tx.producer.begin_transaction()
        undecided = tx.send(range(10, 20))
        behind = produce(spec.kafka.brokers[0], spec.kafka.topic, [("late", record("late"), 0)])
        topic = describe_topic(spec.kafka)
        meter = Meter()
        job = Job(spec, topic, topic.partitions, True, 2, null_engine)
        running = Thread(target=score_partitions, args=(job, Event(), meter))
        running.start()
        wait_for(lambda: meter.rows == {"ok": 10})
        running.join(timeout=3)
        assert running.is_alive()
        assert meter.rows == {"ok": 10}
        tx.producer.commit_transaction()
        running.join(timeout=PATIENCE_S)
        assert not running.is_alive()
    assert meter.rows == {"ok": 21}
    check_store(Path(spec.store.path), tx.committed | undecided | behind)
