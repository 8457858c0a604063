"""What the hot path counts while it runs: a few additions a batch; other threads may look at any time."""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol, TypeVar

from fleetsift.schemas.status import Problem, Status
from fleetsift.store.segments import SegmentFacts
from fleetsift.streaming.progress import Readings
from fleetsift.streaming.source import Source

log = logging.getLogger(__name__)

BOUNDS = {  # upper bounds of what is counted by size
    "segment_rows": (100, 1_000, 10_000, 100_000, 1_000_000),
    "segment_bytes": (2**14, 2**17, 2**20, 2**23, 2**26, 2**29),
}
INFINITE = "+Inf"

T = TypeVar("T")


class Keeper(Protocol):
    """Who keeps scored rows until they are published."""

    @property
    def kept_rows(self) -> int:
        """How many they are."""


@dataclass(slots=True)
class Meter:
    """Counts of one worker's hot path since it began.

    The hot path's seconds fall to stages: `load` (waiting for references, fetching and decoding that were not ahead
    enough), `score` (waiting for scores), `rows` (making and keeping rows) and `publish`.
    """

    rows: Counter[str] = field(default_factory=Counter)  # by status
    source: Source | None = None
    store: Keeper | None = None
    given_up: dict[int, str] = field(default_factory=dict)  # why, by partition
    _rows_before: int = 0  # of sources before this one
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by what is counted, and its label
    _published: dict[int, int] = field(default_factory=dict)
    _published_at: float = 0.0
    _loading: Lock = field(default_factory=Lock)
    _since_s: float = field(default_factory=time.perf_counter)

    def begin(self, source: Source, store: Keeper) -> None:
        """From now on these are read and filled."""
        self.source, self.store, self._rows_before = source, store, self.rows.total()

    def lap(self, stage: str) -> None:
        """What has passed since the last lap was spent on this stage."""
        now = time.perf_counter()
        self._counts["stage_seconds", stage] += now - self._since_s  # type: ignore[assignment]
        self._since_s = now

    def laps(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items, each of which was waited for in this stage since the last lap."""
        for item in items:
            self.lap(stage)
            yield item

    def loaded(self, fetch_s: float, decode_s: float, fetched_bytes: int) -> None:
        """Add one frame that was fetched and decoded; many threads say so."""
        with self._loading:
            self._counts["loader_seconds", "fetch"] += fetch_s  # type: ignore[assignment]
            self._counts["loader_seconds", "decode"] += decode_s  # type: ignore[assignment]
            self._counts["fetched_bytes", ""] += fetched_bytes

    def count(self, problems: tuple[Problem | None, ...]) -> None:
        """Add one batch."""
        self.rows.update(str(problem.status if problem else Status.OK) for problem in problems)

    def published(self, facts: SegmentFacts, segment_bytes: int) -> None:
        """Add one segment, published just now."""
        for status, rows in facts.statuses.items():
            self._counts["published_rows", status] += rows
        for what, size in (("segment_rows", facts.rows), ("segment_bytes", segment_bytes)):
            bounds = BOUNDS[what]
            at = bisect_left(bounds, size)
            self._counts[what, str(bounds[at]) if at < len(bounds) else INFINITE] += 1
            self._counts[f"{what}_sum", ""] += size
        self._published = self._published | {facts.partition: facts.next}
        self._published_at = time.time()
        self.lap("publish")
        known = {"partition": facts.partition, "start": facts.start, "next": facts.next}
        known |= {"rows": facts.rows, "bytes": segment_bytes}
        log.info("published a segment of partition %d", facts.partition, extra={"facts": known})

    def conflicted(self) -> None:
        """Add one segment that another writer had published first."""
        self._counts["conflicts", ""] += 1

    def lag(self, partitions: int) -> int | None:
        """References of the source that are not scored yet; None until so many partitions have been heard of."""
        if self.source is None or len(self.source.unread) < partitions:
            return None
        return sum(self.source.unread.values()) + self._waiting(self.source)

    def read(self) -> Readings:
        """What the counts are now."""
        return Readings(
            counts=Counter(self._counts),
            unread=dict(self.source.unread) if self.source else {},
            queues={
                "references": self._waiting(self.source) if self.source else 0,
                "rows": self.store.kept_rows if self.store else 0,
            },
            published=self._published,
            published_at=self._published_at,
        )

    def _waiting(self, source: Source) -> int:
        """References that were read and are not scored yet; other threads ask, so it may be a batch behind."""
        return max(0, source.polled - (self.rows.total() - self._rows_before))
