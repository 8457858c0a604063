"""How far a run is, as its supervisor knows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Readings:
    """What workers have counted, for those who watch over a run."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by what is counted, and its label; they grow
    unread: dict[int, int] = field(default_factory=dict)  # references not read yet, by partition
    queues: dict[str, int] = field(default_factory=dict)  # `references` read and not scored, `rows` not published
    published: dict[int, int] = field(default_factory=dict)  # where a partition's chain ends, of those that have grown
    published_at: float = 0.0  # seconds since the epoch, of the last segment; 0 where there is none


def join_readings(several: Iterable[Readings]) -> Readings:
    """The readings of some workers as one; of partitions that moved between them the later ones hold."""
    joined = Readings()
    queues: Counter[str] = Counter()
    published_at = 0.0
    for readings in several:
        joined.counts.update(readings.counts)
        joined.unread.update(readings.unread)
        for partition, end in readings.published.items():
            joined.published[partition] = max(end, joined.published.get(partition, 0))
        queues.update(readings.queues)
        published_at = max(published_at, readings.published_at)
    return Readings(joined.counts, joined.unread, dict(queues), joined.published, published_at)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is: rows by status, references not yet scored, seconds, workers, and their restarts."""

    rows: dict[str, int]
    lag: int | None  # None until every worker has heard from the broker
    elapsed_s: float
    workers: int
    restarts: int
    sealed_offsets: int = 0  # in gaps that were noted and passed over; known at the end
    readings: Readings = Readings()

    @property
    def frames(self) -> int:
        """Rows of any status."""
        return sum(self.rows.values())
