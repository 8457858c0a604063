"""The source against a real broker: every record once, in order, from where it is told, to the end and no further."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import msgspec
import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaTimeoutError

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FleetSpec, KafkaSpec
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.messages import FrameMessage
from fleetsift.schemas.status import Status
from fleetsift.streaming.kafka.publish import publish
from fleetsift.streaming.kafka.source import KafkaSource, Offsets
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.source import LostPlace
from tests.oracle import produce
from tests.streaming.conftest import record

NewFleet = Callable[..., FleetSpec]


def read(source: KafkaSource) -> list[list[FrameRef]]:
    return [batch for batch in source.batches(Event()) if batch]


def messages(count: int) -> list[FrameMessage]:
    return [FrameMessage(frame_id=f"f{i}", session_id=f"s{i % 7}", uri=f"/{i}.jpg") for i in range(count)]


def test_what_is_published_is_read_once_and_in_order(new_fleet: NewFleet) -> None:
    spec = new_fleet().kafka
    assert publish(spec, messages(500)) == 500
    topic = describe_topic(spec)
    assert topic.partitions == (0, 1, 2)
    assert topic.topic_id
    batches = read(KafkaSource(spec, dict.fromkeys(topic.partitions, 0), batch=32, until_end=True))
    assert max(len(batch) for batch in batches) <= 32
    refs = [ref for batch in batches for ref in batch]
    assert sorted(ref.frame_id or "" for ref in refs) == sorted(message.frame_id for message in messages(500))
    for partition in topic.partitions:
        offsets = [ref.position.offset for ref in refs if ref.position.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_a_session_stays_in_one_partition(new_fleet: NewFleet) -> None:
    spec = new_fleet().kafka
    publish(spec, messages(200))
    refs = [ref for batch in read(KafkaSource(spec, {0: 0, 1: 0, 2: 0}, batch=100, until_end=True)) for ref in batch]
    homes: dict[str | None, set[int]] = {}
    for ref in refs:
        homes.setdefault(ref.session_id, set()).add(ref.position.partition)
    assert all(len(partitions) == 1 for partitions in homes.values())


def test_reading_begins_where_it_is_told(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1).kafka
    create_topic(spec)
    produce(spec.brokers[0], spec.topic, [(f"f{i}", record(f"f{i}"), 0) for i in range(50)])
    [batch] = read(KafkaSource(spec, {0: 40}, batch=100, until_end=True))
    assert [ref.frame_id for ref in batch] == [f"f{i}" for i in range(40, 50)]


def test_an_empty_topic_ends_at_once(new_fleet: NewFleet) -> None:
    spec = new_fleet().kafka
    create_topic(spec)
    source = KafkaSource(spec, {0: 0, 1: 0, 2: 0}, batch=10, until_end=True)
    assert read(source) == []
    assert source.unread == {0: 0, 1: 0, 2: 0}


def test_without_an_end_it_waits_and_ticks_until_stopped(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1).kafka
    publish(spec, messages(3))
    stop = Event()
    read = []
    for batch in KafkaSource(spec, {0: 0}, batch=10).batches(stop):
        read += [ref.frame_id for ref in batch]
        if read and not batch:
            stop.set()
    assert read == ["f0", "f1", "f2"]


def test_what_is_no_message_is_a_reference_with_a_problem(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1).kafka
    create_topic(spec)
    produce(spec.brokers[0], spec.topic, [(None, b"no json", 0), ("f1", record("f1"), 0), (None, b"", 0)])
    [[bad, good, empty]] = read(KafkaSource(spec, {0: 0}, batch=10, until_end=True))
    assert good.problem is None
    for ref in (bad, empty):
        assert ref.problem is not None
        assert ref.problem.status is Status.BAD_MESSAGE


def test_an_offset_beyond_the_end_stops_loudly(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1).kafka
    publish(spec, messages(3))
    source = KafkaSource(spec, {0: 1000}, batch=10, until_end=True)
    assert read(source) == []
    assert source.lost == {0: LostPlace("the topic ends at 3, before 1000: it was truncated or made again", None)}


class Moody:
    """A consumer of which every other poll times out."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._polls = 0

    def poll(self, **settings: int) -> object:
        self._polls += 1
        if self._polls % 2:
            raise KafkaTimeoutError("busy")
        return self._consumer.poll(**settings)

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)


class MoodySource(KafkaSource):
    def _connect(self, refused: Offsets) -> Moody:
        return Moody(super()._connect(refused))


def test_a_broker_that_times_out_in_a_poll_is_polled_again(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1).kafka
    publish(spec, messages(40))
    assert sum(map(len, read(MoodySource(spec, {0: 0}, batch=7, until_end=True)))) == 40


def test_a_missing_topic_is_said(new_fleet: NewFleet) -> None:
    with pytest.raises(SourceError, match="`fleetsift publish` makes it"):
        describe_topic(new_fleet().kafka)


@pytest.mark.slow
def test_a_missing_broker_is_said() -> None:
    with pytest.raises(SourceError, match=r"no answer from 127\.0\.0\.1:1; start the broker"):
        describe_topic(KafkaSpec(brokers=("127.0.0.1:1",), topic="frames"))


def test_a_topic_is_made_once(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=5).kafka
    create_topic(spec)
    create_topic(msgspec.structs.replace(spec, partitions=9))
    assert describe_topic(spec).partitions == (0, 1, 2, 3, 4)
