"""The seam to where references come from: a topic on Kafka or a manifest, scored by one hot path.

A position is a partition and an offset in it. Of a manifest, a partition is a part of it and an offset a row of that
part; its hash is the topic's id. So the store, resuming and the selectors know of one kind of source only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from fleetsift.errors import SourceError
from fleetsift.schemas.frames import FrameRef


class SourceSilent(SourceError):
    """Nobody answers: nobody is there, or not now."""


@dataclass(frozen=True, slots=True)
class LostPlace:
    """Why a partition cannot be read from where it should be; `upto`, where the gap may be sealed and read on."""

    reason: str
    upto: int | None


@dataclass(frozen=True, slots=True)
class Lag:
    """What is not scored of some partitions: references after their chains' ends, or why there is no going on."""

    unread: dict[int, int]
    lost: dict[int, LostPlace]


class Source(Protocol):
    """References of some partitions, read by one worker in one thread."""

    starts: dict[int, int]  # where `batches` begins, by partition

    @property
    def lost(self) -> Mapping[int, LostPlace]:
        """The partitions on whose account `batches` has ended early; it may be called again with other `starts`."""

    @property
    def polled(self) -> int:
        """References read so far; with `unread` for progress only."""

    @property
    def unread(self) -> Mapping[int, int]:
        """References between what was read and the end, by partition, of those that are known."""

    def batches(self, stop: Event) -> Iterator[list[FrameRef]]:
        """Yield some references at a time, in order within each partition, until `stop` or the end.

        An empty batch says that nothing new has come. It ends early where what should be read next is gone: `lost`
        says of which partitions. Raises SourceError where the source cannot be read.
        """


class Topic(Protocol):
    """What a run reads, as it was when the run began; topics of one name and another id are different topics."""

    @property
    def name(self) -> str:
        """How rows name it."""

    @property
    def topic_id(self) -> str:
        """Differs where what stands at a position may differ."""

    @property
    def partitions(self) -> tuple[int, ...]:
        """What can be read side by side."""

    @property
    def grows(self) -> bool:
        """Whether more may come; what does not grow is read to its end and no further."""

    @property
    def patience_s(self) -> float:
        """How long to go on asking while nobody answers."""

    def lag(self, ends: Mapping[int, int]) -> Lag:
        """What is not scored from where chains end, of the partitions that say it in time; raises SourceError."""

    def loads(self, ends: Mapping[int, int]) -> dict[int, int]:
        """References that each partition is about to have scored, from where its chain ends; raises SourceError."""

    def look_again(self) -> Topic:
        """The same topic as it is now.

        Raises SourceError where it is gone or is another one, SourceSilent where nobody can tell just now.
        """

    def read(self, starts: Mapping[int, int], *, batch: int, until_end: bool) -> Source:
        """References of some partitions, each from its start, up to `batch` at a time."""
