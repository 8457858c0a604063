"""Merges the many small segments of a chain into few large files, and later removes what they replace.

Merging never touches the chain: merged files are published beside it by create-if-absent, each beginning where the one
before it ends, so two who merge one chain cannot overlap, and one who dies leaves nothing half done. Pruning removes
segments only where merged files have held their rows for so long that nobody reads by an older listing. A chain's last
segment stays, and so does one that seals a gap: writers go on from the one, the other says why there is nothing.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa

from fleetsift.errors import OutcomeUnknown, SegmentCorrupt
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.merged import ChainFiles, list_chains, merged_end, merged_folder, merged_name
from fleetsift.store.segments import (
    SegmentFacts,
    encode_segment,
    read_facts,
    read_segment,
    segment_name,
    verify_segment,
)

_AT_ONCE = 16  # segments, so that an object store's answers are not waited for one by one


@dataclass(frozen=True, slots=True)
class MergeSize:
    """When a merged file is large enough; `everything` merges what is left at the end too, however little it is."""

    rows: int = 1_000_000
    bytes: int = 256 * 2**20  # of the segments that it replaces: about what it holds in memory, twice
    everything: bool = False


@dataclass(slots=True)
class Compacted:
    """What was done to a store."""

    merged_segments: int = 0
    merged_files: int = 0
    merged_rows: int = 0
    pruned_segments: int = 0

    def add(self, other: Compacted) -> None:
        """Count what was done to another chain too."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)


def compact_store(
    path: str | Path,
    size: MergeSize,
    keep: timedelta | None,
    now: datetime,
    on_chain: Callable[[int, int], None] = lambda _done, _of: None,
) -> Compacted:
    """Merge every chain of a store, then prune each of what was merged longer than `keep` ago, unless that is None.

    `on_chain` is told how many chains are done, and of how many. Raises StoreError; whatever was done stays right.
    """
    root, done = open_folder(path), Compacted()
    chains = list_chains(root)
    for number, chain in enumerate(chains, start=1):
        done.add(compact_chain(root, chain, size, now))
        if keep is not None:
            done.add(prune_chain(root, chain, keep, now))
        on_chain(number, len(chains))
    return done


def compact_chain(root: Folder, chain: ChainFiles, size: MergeSize, now: datetime) -> Compacted:
    """Merge a chain's segments from where its merged files end; returns what this call merged.

    Raises SegmentCorrupt, naming the file, where a segment is damaged, or is missing from the chain.
    """
    done = Compacted()
    begin = merged_end(root, chain)
    group = _Group(begin)
    for facts, table, nbytes in _read_from(root, chain, begin):
        if facts.start != group.next:
            raise SegmentCorrupt(
                f"{root.path}/{chain.folder}: expected a segment at {group.next}, the next is at {facts.start}; "
                "restore the missing file from a copy"
            )
        if not group.takes(table) and not _publish(root, chain, group, now, done):
            return done
        group.add(facts, table, nbytes)
        if group.is_full(size) and not _publish(root, chain, group, now, done):
            return done
    if size.everything and len(group.facts) > 1:
        _publish(root, chain, group, now, done)
    return done


def prune_chain(root: Folder, chain: ChainFiles, keep: timedelta, now: datetime) -> Compacted:
    """Remove the segments whose rows merged files have held for longer than `keep`.

    Every byte of those merged files is checked before; raises SegmentCorrupt, naming the file.
    """
    done = Compacted()
    starts = {name: int(name.rpartition("/")[2][:20]) for name in chain.segments[:-1]}
    for merged in chain.merged:
        facts = read_facts(root, merged)
        replaced = [name for name, start in starts.items() if facts.start <= start < facts.next]
        if datetime.fromisoformat(facts.written_at) + keep > now or not replaced:
            continue
        verify_segment(root, merged)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prune") as pool:
            done.pruned_segments += sum(pool.map(lambda name: _remove(root, name), replaced))
    return done


def _remove(root: Folder, name: str) -> bool:
    """Remove a segment unless it seals a gap, or somebody else has removed it just now."""
    try:
        if read_facts(root, name).gap:
            return False
    except FileNotFoundError:
        return False
    root.remove(name)
    return True


@dataclass(slots=True)
class _Group:
    """Segments that will be one file."""

    next: int
    tables: list[pa.Table] = field(default_factory=list)
    facts: list[SegmentFacts] = field(default_factory=list)
    bytes: int = 0

    def takes(self, table: pa.Table) -> bool:
        """Whether a segment's columns are those of the group: what differs is not bent, it begins another file."""
        return not self.tables or table.num_rows == 0 or table.schema.equals(self.tables[0].schema)

    def add(self, facts: SegmentFacts, table: pa.Table, nbytes: int) -> None:
        if table.num_rows:
            self.tables.append(table)
        self.facts.append(facts)
        self.bytes += nbytes
        self.next = facts.next

    def is_full(self, size: MergeSize) -> bool:
        return sum(facts.rows for facts in self.facts) >= size.rows or self.bytes >= size.bytes

    def summed_up(self, now: datetime) -> SegmentFacts:
        first, last = self.facts[0], self.facts[-1]
        statuses = sum((Counter(facts.statuses) for facts in self.facts), Counter[str]())
        return msgspec.structs.replace(
            last,
            start=first.start,
            previous=None,
            rows=statuses.total(),
            statuses=dict(sorted(statuses.items())),
            writer=uuid.uuid4().hex,
            written_at=now.isoformat(timespec="seconds"),
        )


def _publish(root: Folder, chain: ChainFiles, group: _Group, now: datetime, done: Compacted) -> bool:
    """Publish a group and begin the next; False where somebody else has merged from there already: leave it to them."""
    if not group.facts:
        return True
    facts = group.summed_up(now)
    rows = pa.concat_tables(group.tables) if group.tables else _NO_ROWS
    folder = merged_folder(root, chain.folder)
    name = merged_name(facts.start)
    try:
        created = folder.create_absent(name, encode_segment(rows, facts))
    except OutcomeUnknown:
        created = read_facts(folder, name).writer == facts.writer
    if created:
        done.merged_segments += len(group.facts)
        done.merged_files += 1
        done.merged_rows += facts.rows
    group.tables, group.facts, group.bytes = [], [], 0
    return created


_NO_ROWS = pa.table({"offset": pa.array([], pa.int64()), "status": pa.array([], pa.string())})


def _read_from(root: Folder, chain: ChainFiles, begin: int) -> Iterator[tuple[SegmentFacts, pa.Table, int]]:
    """The chain's segments from an offset on, in order, each checked, some read ahead."""
    names = [name for name in chain.segments if name >= f"{chain.folder}/{segment_name(begin)}"]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="merge") as pool:
        for at in range(0, len(names), _AT_ONCE):
            yield from pool.map(lambda name: read_segment(root, name), names[at : at + _AT_ONCE])
