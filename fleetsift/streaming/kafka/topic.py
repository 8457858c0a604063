"""The topic: read by `assign` from where the store says, and written by `publish`; the only home of kafka-python.

Consumer groups are not used, so there are no rebalances and no committed offset that could disagree with the store.
A consumer is made, polled and closed in one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import kafka.errors
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.messages import FrameMessage, encode_message
from fleetsift.streaming.kafka.security import security_settings
from fleetsift.streaming.messages.decoders import open_decoder
from fleetsift.streaming.patience import with_patience
from fleetsift.streaming.source import LostPlace, SourceSilent

for _room in ("", ".admin", ".consumer", ".net", ".producer", ".protocol"):  # at DEBUG they print SASL passwords
    logging.getLogger(f"kafka{_room}").setLevel(logging.WARNING)


_REFUSALS = {
    "SaslAuthenticationFailed": "the username or password is refused; mend the credentials",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not one of those trusted; mend kafka.security.ca_file",
}


class _Refusals(logging.Handler):
    """Hears from kafka-python's log why a connection failed: the error it raises is a time-out, whatever happened."""

    heard: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        self.heard = next((reason for sign, reason in _REFUSALS.items() if sign in said), self.heard)


_refusals = _Refusals(logging.WARNING)
logging.getLogger("kafka.net.manager").addHandler(_refusals)

_POLL_MS = 200
_POLL_RECORDS = 500
_BOOTSTRAP_MS = 10_000


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
        raise SourceError(f"kafka.topic: {spec.topic} is not on {_brokers(spec)}; `fleetsift publish` makes it")
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


def publish(spec: KafkaSpec, messages: Iterable[FrameMessage], on_sent: Callable[[int], None] = lambda _: None) -> int:
    """Send messages to the topic, a session always to one partition; returns how many the brokers acknowledged."""
    create_topic(spec)
    sent = 0
    failures: list[BaseException] = []
    with speaking_to(spec):
        producer = KafkaProducer(**client_settings(spec), acks="all", linger_ms=5)
        try:
            for message in messages:
                future = producer.send(spec.topic, key=message.session_id.encode(), value=encode_message(message))
                future.add_errback(failures.append)
                sent += 1
                on_sent(sent)
            producer.flush()
        finally:
            producer.close()
        if failures:
            raise failures[0]
    return sent


class KafkaSource:
    """References from some partitions of a topic, in batches, from given offsets on."""

    def __init__(self, spec: KafkaSpec, starts: Mapping[int, int], *, batch: int, until_end: bool = False) -> None:
        """Read each partition from its start; with `until_end`, up to where its end is when reading begins."""
        self._spec = spec
        self.starts = dict(starts)
        self.lost: dict[int, LostPlace] = {}
        self._batch = batch
        self._decode = open_decoder(spec.decoder)
        self._until_end = until_end
        self.polled = 0  # references polled so far; with `unread` for progress only
        self.unread: dict[int, int] = {}  # records between what was polled and the end, by partition

    def batches(self, stop: Event) -> Iterator[list[FrameRef]]:
        """Yield up to `batch` references at a time, in order within each partition, until `stop` or the end.

        An empty batch says that nothing new has come. It ends early where the topic no longer has what should be
        read next: `lost` says of which partitions. Raises SourceError where the topic cannot be read.
        """
        self.lost = {}
        if not self.starts:
            return
        with speaking_to(self._spec):
            consumer = with_patience(self._spec.patience_s, stop, self._connect)
            try:
                ends: dict[TopicPartition, int] = {}
                while not stop.is_set() and not self.lost:
                    refs = self._poll(consumer)
                    for begin in range(0, max(1, len(refs)), self._batch):
                        if stop.is_set():
                            return  # what was polled and not handed on is read again by the next run
                        yield refs[begin : begin + self._batch]
                    if self._until_end and not self.lost and _reached(consumer, ends):
                        return
            finally:
                consumer.close()

    def _connect(self) -> KafkaConsumer:
        with speaking_to(self._spec):
            consumer = KafkaConsumer(
                **client_settings(self._spec),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                isolation_level="read_committed",
            )
            try:
                self._seek(consumer)
            except BaseException:
                consumer.close()
                raise
            return consumer

    def _seek(self, consumer: KafkaConsumer) -> None:
        partitions = {TopicPartition(self._spec.topic, p): start for p, start in self.starts.items()}
        consumer.assign(list(partitions))
        beginnings = consumer.beginning_offsets(list(partitions))
        for partition, start in partitions.items():
            if 0 < start < beginnings[partition]:
                self.lost[partition.partition] = self._removed(start, beginnings[partition])
            consumer.seek(partition, max(start, beginnings[partition]))

    def _poll(self, consumer: KafkaConsumer) -> list[FrameRef]:
        try:
            polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        except kafka.errors.OffsetOutOfRangeError as error:  # what it had fetched besides is read again
            self._find_lost(consumer, error.args[0])
            return []
        except kafka.errors.LogTruncationError as error:
            for partition, kept in error.divergent_offsets.items():
                self.lost[partition.partition] = _truncated(consumer.position(partition), kept.offset if kept else 0)
            return []
        for partition in consumer.assignment():
            end, position = consumer.highwater(partition), consumer.position(partition)
            if end is not None and position > end:  # Kafka itself refuses to read there; not every broker does
                self.lost[partition.partition] = _truncated(position, end)
            elif end is not None:
                self.unread[partition.partition] = end - position
        refs = [
            self._decode(record.value, Position(record.topic, record.partition, record.offset))
            for records in polled.values()
            for record in records
        ]
        self.polled += len(refs)
        return refs

    def _find_lost(self, consumer: KafkaConsumer, refused: Mapping[TopicPartition, int]) -> None:
        beginnings, ends = consumer.beginning_offsets(list(refused)), consumer.end_offsets(list(refused))
        for partition, offset in refused.items():
            beginning = beginnings[partition]
            self.lost[partition.partition] = (
                self._removed(offset, beginning) if offset < beginning else _truncated(offset, ends[partition])
            )

    def _removed(self, start: int, beginning: int) -> LostPlace:
        reason = f"retention has removed [{start}, {beginning}): {beginning - start} offsets were never scored"
        return LostPlace(reason, beginning if self._spec.on_gap == "seal" else None)


def _truncated(start: int, end: int) -> LostPlace:
    """Never sealed: what is written below the chain's end now is not what was scored there."""
    return LostPlace(f"the topic ends at {end}, before {start}: it was truncated or made again", None)


def _reached(consumer: KafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    """Whether every partition has been read to the end it had when it first answered; `ends` remembers those."""
    partitions = consumer.assignment()
    for partition in partitions - ends.keys():
        # The end comes with the first fetch; asking for it by `end_offsets` is wrong on some brokers (Tansu).
        end = consumer.highwater(partition)
        if end is not None:
            ends[partition] = end
    return all(partition in ends and consumer.position(partition) >= ends[partition] for partition in partitions)


def client_settings(spec: KafkaSpec) -> dict[str, Any]:
    """What every client takes to reach the brokers."""
    reach = {"bootstrap_servers": list(spec.brokers), "bootstrap_timeout_ms": _BOOTSTRAP_MS}
    return reach | (security_settings(spec.security) if spec.security else {})


def _brokers(spec: KafkaSpec) -> str:
    return ", ".join(spec.brokers)


@contextmanager
def speaking_to(spec: KafkaSpec) -> Iterator[None]:
    """Turn kafka-python's errors into ours."""
    _refusals.heard = None
    try:
        yield
    except kafka.errors.UnknownTopicOrPartitionError as error:
        raise SourceError(f"kafka.topic: {spec.topic} is not on {_brokers(spec)}; was it deleted?") from error
    except kafka.errors.RetriableError as error:  # time-outs, lost connections, leaders that move
        if _refusals.heard:
            raise SourceError(f"kafka.security: {_brokers(spec)}: {_refusals.heard}") from error
        hung_up = ", or kafka.security: brokers may hang up on wrong credentials" if spec.security else ""
        raise SourceSilent(
            f"kafka.brokers: no answer from {_brokers(spec)}; start the broker or mend the address{hung_up}"
        ) from error
    except kafka.errors.KafkaError as error:
        raise SourceError(f"kafka: {_brokers(spec)} refused, {type(error).__name__}: {error}") from error
