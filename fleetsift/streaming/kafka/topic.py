"""A topic as its brokers know it: described, made, and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import kafka.errors
from kafka import KafkaAdminClient

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka.lag import partition_lag, partition_loads
from fleetsift.streaming.kafka.source import KafkaSource
from fleetsift.streaming.kafka.speaking import brokers_of, client_settings, speaking_to
from fleetsift.streaming.source import Lag


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """A topic as its brokers know it; a topic that is deleted and made again has another id."""

    spec: KafkaSpec
    topic_id: str
    partitions: tuple[int, ...]

    @property
    def name(self) -> str:
        """As the brokers call it."""
        return self.spec.topic

    @property
    def grows(self) -> bool:
        """There is always more to come."""
        return True

    @property
    def patience_s(self) -> float:
        """As configured."""
        return self.spec.patience_s

    def lag(self, ends: Mapping[int, int]) -> Lag:
        """Records after each chain's end."""
        return partition_lag(self.spec, ends)

    def loads(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Records after each chain's end, and as many as came in the last hour: as many may come in the next."""
        return partition_loads(self.spec, ends)

    def look_again(self) -> KafkaTopic:
        """The same topic as it is now; raises SourceError where it is gone, or another one has its name."""
        now = describe_topic(self.spec)
        if now.topic_id != self.topic_id:
            raise SourceError(
                f"kafka.topic: {self.name} was deleted and made again during the run (its id was {self.topic_id} and "
                f"is {now.topic_id}); run again to score the new topic, in chains of its own"
            )
        return now

    def read(self, starts: Mapping[int, int], *, batch: int, until_end: bool) -> KafkaSource:
        """References of some partitions, each from its start."""
        return KafkaSource(self.spec, starts, batch=batch, until_end=until_end)


def describe_topic(spec: KafkaSpec) -> KafkaTopic:
    """Ask the brokers for a topic; raises SourceError where they or it cannot be found."""
    with speaking_to(spec):
        admin = KafkaAdminClient(**client_settings(spec))
        try:
            [found] = admin.describe_topics([spec.topic])
        finally:
            admin.close()
    if found["error_code"] or not found["partitions"]:
        raise SourceError(f"kafka.topic: {spec.topic} is not on {brokers_of(spec)}; `fleetsift publish` makes it")
    partitions = tuple(sorted(partition["partition_index"] for partition in found["partitions"]))
    return KafkaTopic(spec, str(found["topic_id"]), partitions)


def create_topic(spec: KafkaSpec) -> None:
    """Make the topic with `spec.partitions` partitions unless it is there; raises SourceError where that fails."""
    with speaking_to(spec):
        admin = KafkaAdminClient(**client_settings(spec))
        try:
            admin.create_topics({spec.topic: {"num_partitions": spec.partitions}})
        except kafka.errors.TopicAlreadyExistsError:
            pass
        finally:
            admin.close()
