"""The chain of segments of one partition: where it ends, and how the next segment joins it.

The store is the ledger of what is done. A segment is named by its start alone and covers [start, next); the next one
starts at exactly `next`. Creating that name is the fence: of two writers of one partition (a zombie, a second job) one
wins, and the other reads the winner's footer, drops what the winner wrote, and goes on from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from threading import Event

import numpy as np
import pyarrow as pa

from fleetsift.errors import OutcomeUnknown, SegmentCorrupt, StoreError
from fleetsift.patience import Patience
from fleetsift.store.folder import Folder
from fleetsift.store.rows import SCHEMA_VERSION
from fleetsift.store.segments import SegmentFacts, encode_segment, is_segment, read_facts, segment_name, verify_segment

log = logging.getLogger(__name__)

_HINT = ".end"  # holds the start of what was the last segment when it was written
_MOST_STEPS = 64
_PATIENCE_S = 10.0  # with an object store that gives no clear answer, where nothing else is said
_NO_ROWS = pa.table({"offset": pa.array([], pa.int64()), "status": pa.array([], pa.string())})


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a chain belongs to: another topic of the same name, ensemble or row version is another chain."""

    topic: str
    topic_id: str
    ensemble_id: str
    classes: tuple[str, ...]

    def place(self, partition: int) -> str:
        """Where the segments of a partition lie below the store."""
        ensemble = f"ensemble={self.ensemble_id}.v{SCHEMA_VERSION}"
        return f"{topic_place(self.topic, self.topic_id)}/{ensemble}/p={partition:05d}"

    def folder(self, store: Folder, partition: int) -> Folder:
        """The folder in which they do."""
        return store.below(self.place(partition))

    def others(self, store: Folder) -> list[str]:
        """The ids of other topics of the same name that have chains in the store."""
        names = (folder.partition("@") for folder in store.folders())
        return [id_ for name, _, id_ in names if name == f"topic={self.topic}" and id_ and id_ != self.topic_id]


def topic_place(topic: str, topic_id: str) -> str:
    """Where the chains of a topic lie below the store: a folder an ensemble, in it a folder a partition."""
    return f"topic={topic}@{topic_id}" if topic_id else f"topic={topic}"


def segment_names(folder: Folder) -> list[str]:
    """The published segments in a folder and below, in order: a listing, for those who want them all."""
    return [name for name in folder.names() if is_segment(name)]


def walk_chain(folder: Folder, start: int) -> Iterator[SegmentFacts]:
    """The segments of a partition from the one that begins at `start`, each found where the one before it ends."""
    while True:
        try:
            facts = _facts_at(folder, start)
        except FileNotFoundError:
            return
        yield facts
        if facts.next <= start:
            raise SegmentCorrupt(f"{folder.path}/{segment_name(start)}: it ends before it begins; move the file away")
        start = facts.next


def verify_end(folder: Folder, namespace: Namespace, partition: int) -> SegmentFacts | None:
    """The last segment of a partition's chain, every byte of it checked; None where the chain is empty.

    Raises SegmentCorrupt, naming the file, where the last segment is damaged or belongs elsewhere.
    """
    end = read_end(folder)
    if end is None:
        return None
    name = segment_name(end.start)
    facts = verify_segment(folder, name)
    expected = (namespace.topic, namespace.topic_id, namespace.ensemble_id, partition)
    found = (facts.topic, facts.topic_id, facts.ensemble_id, facts.partition)
    if found != expected:
        raise SegmentCorrupt(f"{folder.path}/{name}: expected a segment of {expected}, got {found}; move the file away")
    return facts


def read_end(folder: Folder) -> SegmentFacts | None:
    """A chain's last segment by its footer: some steps from where the hint says, so that no long chain is listed.

    None where the chain is empty. The hint is never trusted: where it leads to no segment, or the end is further from
    it, the folder is listed.
    """
    steps = list(islice(walk_chain(folder, _hinted_start(folder)), _MOST_STEPS + 1))
    if 0 < len(steps) <= _MOST_STEPS:
        return steps[-1]
    names = segment_names(folder)
    return _facts_at(folder, int(PurePosixPath(max(names)).stem)) if names else None


def _facts_at(folder: Folder, start: int) -> SegmentFacts:
    """What the segment's footer says that is named by this start; raises FileNotFoundError, SegmentCorrupt."""
    facts = read_facts(folder, segment_name(start))
    if facts.start != start:
        raise SegmentCorrupt(f"{folder.path}/{segment_name(start)}: it begins at {facts.start}; move the file away")
    return facts


def _hinted_start(folder: Folder) -> int:
    try:
        return int(folder.read(_HINT))
    except (FileNotFoundError, ValueError):
        return 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What some chains hold: rows by status, and how many offsets lie in gaps that were sealed."""

    rows: Counter[str]
    sealed_offsets: int

    @classmethod
    def of(cls, ends: Iterable[SegmentFacts | None]) -> Tally:
        """What the chains hold that end with these segments: each knows what came before it."""
        last = [end for end in ends if end]
        return cls(sum((Counter(end.so_far) for end in last), Counter()), sum(end.sealed_so_far for end in last))

    def __sub__(self, before: Tally) -> Tally:
        """What they hold that they did not hold before."""
        return Tally(self.rows - before.rows, self.sealed_offsets - before.sealed_offsets)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is asked, and who is told, when rows join a chain."""

    before_publish: Callable[[], None] = lambda: None  # raises where rows must not join the namespace's chains
    on_published: Callable[[SegmentFacts, int], None] = lambda _facts, _bytes: None  # a segment, and its size
    on_conflict: Callable[[], None] = lambda: None  # another writer has published first


@dataclass(slots=True)
class ChainWriter:
    """Joins rows to the end of one partition's chain; `last` is its last segment as this writer knows it."""

    folder: Folder
    namespace: Namespace
    partition: int
    writer: str
    last: SegmentFacts | None
    listeners: Listeners = Listeners()
    patience: Patience = field(default_factory=lambda: Patience(OutcomeUnknown, _PATIENCE_S, Event()))

    @property
    def end(self) -> int:
        """Where the chain goes on."""
        return self.last.next if self.last else 0

    def seal(self, upto: int, reason: str) -> None:
        """Publish [end, upto) as a segment without rows that says why; what others publish of it meanwhile stays."""
        self.publish(_NO_ROWS, upto, gap=reason)

    def publish(self, table: pa.Table, upto: int, gap: str = "") -> None:
        """Publish rows as the segment [end, upto), whatever others publish meanwhile; rows they wrote are dropped.

        The rows are in order of offset, below `upto`; those below `end` are the winner's already.
        """
        self.listeners.before_publish()
        while upto > self.end:
            ours = table.slice(int(np.searchsorted(table["offset"], self.end)))
            name = segment_name(self.end)
            facts = self._facts(ours, upto, gap)
            data = encode_segment(ours, facts)
            winner = self.patience.ask(partial(self._create_or_find, name, data))
            if winner is None:
                with suppress(StoreError):  # without the hint, resuming is slower and no less right
                    self.folder.overwrite(_HINT, b"%d" % self.end)
                self.last = facts
                self.listeners.on_published(facts, len(data))
                return
            if winner.writer != self.writer:
                self.listeners.on_conflict()
                log.warning(
                    "%s/%s: another writer published [%d, %d); going on after it",
                    self.folder.path,
                    name,
                    winner.start,
                    winner.next,
                )
            self.last = winner

    def _create_or_find(self, name: str, data: bytes) -> SegmentFacts | None:
        """Create a segment, or say what lies under its name: maybe this very one, its acknowledgement lost.

        Raises OutcomeUnknown where neither can be told now.
        """
        try:
            if self.folder.create_absent(name, data):
                return None
            trouble = OutcomeUnknown(f"{self.folder.path}/{name}: the name is taken, but nothing can be read there")
        except OutcomeUnknown as unknown:
            trouble = unknown
        try:
            return read_facts(self.folder, name)
        except SegmentCorrupt:
            raise
        except (FileNotFoundError, StoreError):
            raise trouble from None

    def _facts(self, table: pa.Table, upto: int, gap: str) -> SegmentFacts:
        statuses = Counter(table["status"].to_pylist())
        before = Tally.of([self.last])
        so_far = statuses + before.rows
        return SegmentFacts(
            topic=self.namespace.topic,
            topic_id=self.namespace.topic_id,
            partition=self.partition,
            ensemble_id=self.namespace.ensemble_id,
            classes=self.namespace.classes,
            start=self.end,
            next=upto,
            rows=table.num_rows,
            statuses=dict(sorted(statuses.items())),
            so_far=dict(sorted(so_far.items())),
            sealed_so_far=before.sealed_offsets + (upto - self.end if gap else 0),
            previous=self.last.start if self.last else None,
            writer=self.writer,
            written_at=datetime.now(UTC).isoformat(timespec="seconds"),
            gap=gap,
        )
