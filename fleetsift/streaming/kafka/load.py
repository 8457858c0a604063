"""How much each partition of a topic has to be scored soon, as its brokers know it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition

from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka.speaking import client_settings, speaking_to

_LATELY_S = 3600.0


def partition_loads(spec: KafkaSpec, ends: Mapping[int, int]) -> dict[int, int]:
    """Records of each partition after a chain's end, and as many as came in the last hour; raises SourceError."""
    places = {p: TopicPartition(spec.topic, p) for p in ends}
    since_ms = int((time.time() - _LATELY_S) * 1e3)
    with speaking_to(spec):
        consumer = KafkaConsumer(**client_settings(spec), group_id=None)
        try:
            upto = consumer.end_offsets(list(places.values()))
            lately = consumer.offsets_for_times(dict.fromkeys(places.values(), since_ms))
        finally:
            consumer.close()

    def load(partition: int) -> int:
        place = places[partition]
        end, first = int(upto[place]), lately[place]
        return max(0, end - ends[partition]) + (max(0, end - int(first.offset)) if first else 0)

    return {partition: load(partition) for partition in ends}
