"""What is left of each partition to be scored, as its brokers know it: they say where it begins and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition

from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka.source import removed, truncated
from fleetsift.streaming.kafka.speaking import client_settings, speaking_to
from fleetsift.streaming.source import Lag

_LATELY_S = 3600.0
_PATIENCE_S = 10.0
_POLL_MS = 200


def partition_lag(spec: KafkaSpec, ends: Mapping[int, int]) -> Lag:
    """Records of each partition after a chain's end, of those that say it within seconds; raises SourceError."""
    places = [TopicPartition(spec.topic, partition) for partition in ends]
    with _asking(spec) as consumer:
        beginnings = consumer.beginning_offsets(places)
        known = _find_ends(consumer, places)
    lag = Lag({}, {})
    for place, upto in known.items():
        partition, start = place.partition, ends[place.partition]
        if 0 < start < beginnings[place]:
            lag.lost[partition] = removed(spec, start, beginnings[place])
        elif start > upto:
            lag.lost[partition] = truncated(start, upto)
        else:
            lag.unread[partition] = upto - max(start, beginnings[place])
    return lag


def partition_loads(spec: KafkaSpec, ends: Mapping[int, int]) -> dict[int, int]:
    """Records of each partition after a chain's end, and as many as came in the last hour; raises SourceError."""
    places = {partition: TopicPartition(spec.topic, partition) for partition in ends}
    since_ms = int((time.time() - _LATELY_S) * 1e3)
    with _asking(spec) as consumer:
        upto = consumer.end_offsets(list(places.values()))
        lately = consumer.offsets_for_times(dict.fromkeys(places.values(), since_ms))

    def load(partition: int) -> int:
        place = places[partition]
        end, first = int(upto[place]), lately[place]
        return max(0, end - ends[partition]) + (max(0, end - int(first.offset)) if first else 0)

    return {partition: load(partition) for partition in ends}


@contextmanager
def _asking(spec: KafkaSpec) -> Iterator[KafkaConsumer]:
    with speaking_to(spec):
        consumer = KafkaConsumer(**client_settings(spec), group_id=None, auto_offset_reset="none")
        try:
            yield consumer
        finally:
            consumer.close()


def _find_ends(consumer: KafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Where partitions end, of those that say it in time: the first fetch does, and it begins close to the end.

    `end_offsets` alone is wrong on some brokers (Tansu): there it is where the last batch begins.
    """
    consumer.assign(places)
    for place, end in consumer.end_offsets(places).items():
        consumer.seek(place, end)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and any(consumer.highwater(place) is None for place in places):
        consumer.poll(timeout_ms=_POLL_MS)
    return {place: end for place in places if (end := consumer.highwater(place)) is not None}
