"""Records by their offsets, and letters to a topic: what dead letters need of Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka.speaking import client_settings, speaking_to
from fleetsift.streaming.source import SourceSilent

_NEAR = 10_000  # offsets that are rather read through than jumped over
_PATIENCE_S = 20.0
_POLL_MS = 200
_DELIVERY_MS = 20_000


def fetch_records(spec: KafkaSpec, partition: int, offsets: Sequence[int]) -> dict[int, bytes]:
    """The records at some offsets, as they are; those that have left the topic are not among them."""
    found: dict[int, bytes] = {}
    with _reading(spec, partition) as (consumer, place):
        beginning = consumer.beginning_offsets([place])[place]
        wanted = sorted({offset for offset in offsets if offset >= beginning}, reverse=True)
        position, deadline = -_NEAR, time.monotonic() + _PATIENCE_S
        while wanted:
            if not wanted[-1] - _NEAR < position <= wanted[-1]:
                consumer.seek(place, wanted[-1])
            for record in consumer.poll(timeout_ms=_POLL_MS).get(place, ()):
                found[record.offset] = record.value or b""
            before, position = position, consumer.position(place)
            deadline = time.monotonic() + _PATIENCE_S if position > before else deadline
            while wanted and wanted[-1] < position:
                wanted.pop()
            _check(deadline, spec)
    return {offset: found[offset] for offset in offsets if offset in found}


def read_keys(spec: KafkaSpec, partition: int, start: int) -> tuple[set[bytes], int]:
    """The keys of a partition's records from an offset on, and where it ends."""
    keys: set[bytes] = set()
    with _reading(spec, partition) as (consumer, place):
        consumer.seek(place, max(start, consumer.beginning_offsets([place])[place]))
        deadline = time.monotonic() + _PATIENCE_S
        while (end := consumer.highwater(place)) is None or consumer.position(place) < end:
            records = consumer.poll(timeout_ms=_POLL_MS).get(place, ())
            keys.update(record.key for record in records if record.key)
            deadline = time.monotonic() + _PATIENCE_S if records else deadline
            _check(deadline, spec)
    return keys, end


def send_letters(spec: KafkaSpec, partition: int, letters: Iterable[tuple[bytes, bytes]]) -> int:
    """Send keys and values to a partition, in order; returns the offset after the last. All or an error."""
    with speaking_to(spec):
        patience = {"request_timeout_ms": _DELIVERY_MS // 2, "delivery_timeout_ms": _DELIVERY_MS}
        producer = KafkaProducer(**client_settings(spec), acks="all", linger_ms=5, **patience)
        try:
            sent = [producer.send(spec.topic, key=key, value=value, partition=partition) for key, value in letters]
            producer.flush(timeout=_DELIVERY_MS / 1000)
            end: int = max(future.get(timeout=1).offset for future in sent) + 1
            return end
        finally:
            producer.close(timeout=1)


@contextmanager
def _reading(spec: KafkaSpec, partition: int) -> Iterator[tuple[KafkaConsumer, TopicPartition]]:
    with speaking_to(spec):
        consumer = KafkaConsumer(
            **client_settings(spec),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
        )
        try:
            place = TopicPartition(spec.topic, partition)
            consumer.assign([place])
            yield consumer, place
        finally:
            consumer.close()


def _check(deadline: float, spec: KafkaSpec) -> None:
    if time.monotonic() > deadline:
        raise SourceSilent(f"kafka.brokers: {', '.join(spec.brokers)} have not gone on for {_PATIENCE_S:g} s")
