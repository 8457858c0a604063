"""References read from partitions by `assign`, each from where the store says.

Consumer groups are not used, so there are no rebalances and no committed offset that could disagree with the store.
A consumer is made, polled and closed in one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from threading import Event

import kafka.errors
from kafka import KafkaConsumer, TopicPartition

from fleetsift.patience import Patience
from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.streaming.kafka.speaking import client_settings, speaking_to
from fleetsift.streaming.messages.decoders import open_decoder
from fleetsift.streaming.source import LostPlace, SourceSilent

log = logging.getLogger(__name__)

Offsets = Mapping[TopicPartition, int]

_POLL_MS = 200
_POLL_RECORDS = 500


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
        patience = Patience(SourceSilent, self._spec.patience_s, stop)
        refused: Offsets = {}
        with speaking_to(self._spec):
            while not self.lost:
                consumer = patience.ask(partial(self._connect, refused))
                try:
                    yield from self._read(consumer, stop)
                except kafka.errors.OffsetOutOfRangeError as error:  # what it had fetched besides is read again
                    refused = error.args[0]
                else:
                    return
                finally:
                    consumer.close()

    def _read(self, consumer: KafkaConsumer, stop: Event) -> Iterator[list[FrameRef]]:
        ends: dict[TopicPartition, int] = {}
        while not stop.is_set() and not self.lost:
            refs = self._poll(consumer, stop)
            for begin in range(0, max(1, len(refs)), self._batch):
                if stop.is_set():
                    return  # what was polled and not handed on is read again by the next run
                yield refs[begin : begin + self._batch]
            if self._until_end and not self.lost and _reached(consumer, ends):
                return

    def _connect(self, refused: Offsets) -> KafkaConsumer:
        """A consumer at the starts, or, where some offsets were refused, one that has told why."""
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
                if refused:
                    self._find_lost(consumer, refused)
                else:
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
                self.lost[partition.partition] = removed(self._spec, start, beginnings[partition])
            consumer.seek(partition, max(start, beginnings[partition]))

    def _poll(self, consumer: KafkaConsumer, stop: Event) -> list[FrameRef]:
        try:
            polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        except kafka.errors.RetriableError as error:  # it has found nothing, as where brokers are silent
            log.info("kafka.brokers: %s while polling; polling again", type(error).__name__)
            stop.wait(_POLL_MS / 1000)
            return []
        except kafka.errors.LogTruncationError as error:
            for partition, kept in error.divergent_offsets.items():
                self.lost[partition.partition] = truncated(consumer.position(partition), kept.offset if kept else 0)
            return []
        for partition in consumer.assignment():
            end, position = consumer.highwater(partition), consumer.position(partition)
            if end is not None and position > end:  # Kafka itself refuses to read there; not every broker does
                self.lost[partition.partition] = truncated(position, end)
            elif end is not None:
                self.unread[partition.partition] = end - position
        refs = [
            self._decode(record.value, Position(record.topic, record.partition, record.offset))
            for records in polled.values()
            for record in records
        ]
        self.polled += len(refs)
        return refs

    def _find_lost(self, consumer: KafkaConsumer, refused: Offsets) -> None:
        beginnings, ends = consumer.beginning_offsets(list(refused)), consumer.end_offsets(list(refused))
        for partition, offset in refused.items():
            beginning = beginnings[partition]
            self.lost[partition.partition] = (
                removed(self._spec, offset, beginning) if offset < beginning else truncated(offset, ends[partition])
            )


def removed(spec: KafkaSpec, start: int, beginning: int) -> LostPlace:
    """A place that retention has passed; to be sealed where that is asked for."""
    reason = f"retention has removed [{start}, {beginning}): {beginning - start} offsets were never scored"
    return LostPlace(reason, beginning if spec.on_gap == "seal" else None)


def truncated(start: int, end: int) -> LostPlace:
    """A place after the end; never sealed: what is written below the chain's end now is not what was scored there."""
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
