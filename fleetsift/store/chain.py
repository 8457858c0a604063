"""The chain of segments of one partition: where it ends, and how the next segment joins it.

The store is the ledger of what is done. A segment is named by its start alone and covers [start, next); the next one
starts at exactly `next`. Creating that name is the fence: of two writers of one partition (a zombie, a second job) one
wins, and the other reads the winner's footer, drops what the winner wrote, and goes on from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fleetsift.errors import SegmentCorrupt
from fleetsift.store.folder import create_absent
from fleetsift.store.rows import SCHEMA_VERSION
from fleetsift.store.segments import SegmentFacts, encode_segment, read_facts, segment_name, verify_segment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a chain belongs to: another topic of the same name, ensemble or row version is another chain."""

    topic: str
    topic_id: str
    ensemble_id: str
    classes: tuple[str, ...]

    def folder(self, store: Path, partition: int) -> Path:
        """Where the segments of a partition lie."""
        topic = f"topic={self.topic}@{self.topic_id}" if self.topic_id else f"topic={self.topic}"
        return store / topic / f"ensemble={self.ensemble_id}.v{SCHEMA_VERSION}" / f"p={partition:05d}"


def segment_paths(folder: Path) -> list[Path]:
    """The published segments of a partition, in order."""
    return sorted(folder.glob("[0-9]*.parquet"))


def resume(folder: Path, namespace: Namespace, partition: int) -> int:
    """The offset a partition's chain goes on from; 0 where it is empty.

    Raises SegmentCorrupt, naming the file, where the last segment is damaged or belongs elsewhere.
    """
    paths = segment_paths(folder)
    if not paths:
        return 0
    facts = verify_segment(paths[-1])
    expected = (namespace.topic, namespace.topic_id, namespace.ensemble_id, partition, paths[-1].name)
    found = (facts.topic, facts.topic_id, facts.ensemble_id, facts.partition, segment_name(facts.start))
    if found != expected:
        raise SegmentCorrupt(f"{paths[-1]}: expected a segment of {expected}, got {found}; move the file away")
    return facts.next


def tally(folder: Path, since: int) -> Counter[str]:
    """Rows by status in the segments that begin at `since` or later."""
    later = [path for path in segment_paths(folder) if int(path.stem) >= since]
    return sum((Counter(read_facts(path).statuses) for path in later), Counter())


@dataclass(slots=True)
class ChainWriter:
    """Joins rows to the end of one partition's chain; `end` is where the chain as this writer knows it goes on."""

    folder: Path
    namespace: Namespace
    partition: int
    writer: str
    end: int

    def publish(self, table: pa.Table, upto: int) -> None:
        """Publish rows as the segment [end, upto), whatever others publish meanwhile; rows they wrote are dropped.

        The rows are in order of offset, below `upto`; those below `end` are the winner's already.
        """
        while upto > self.end:
            ours = table.filter(pc.greater_equal(table["offset"], self.end))
            path = self.folder / segment_name(self.end)
            if create_absent(path, encode_segment(ours, self._facts(ours, upto))):
                self.end = upto
                return
            winner = read_facts(path)
            if winner.writer != self.writer:
                log.warning("%s: another writer published [%d, %d); going on after it", path, winner.start, winner.next)
            self.end = winner.next

    def _facts(self, table: pa.Table, upto: int) -> SegmentFacts:
        return SegmentFacts(
            topic=self.namespace.topic,
            topic_id=self.namespace.topic_id,
            partition=self.partition,
            ensemble_id=self.namespace.ensemble_id,
            classes=self.namespace.classes,
            start=self.end,
            next=upto,
            rows=table.num_rows,
            statuses=dict(sorted(Counter(table["status"].to_pylist()).items())),
            writer=self.writer,
            written_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
