"""Merged segments: larger files beside the chain that hold the rows of many of its segments, for those who read.

They are a chain of their own: `STORE/merged/<the chain's folder>/<start>.merged.parquet` claims [start, next), and the
next one begins at exactly `next`, always where a segment of the chain begins. So a reader takes the merged rows up to
where they end, and from there the chain's own segments: no row twice, none lost, whatever merges meanwhile.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fleetsift.store.folder import Folder
from fleetsift.store.segments import SegmentFacts, is_segment, read_facts, segment_name

_MERGED = "merged/"
_NAME = re.compile(r"[0-9]{20}\.merged\.parquet")


@dataclass(slots=True)
class ChainFiles:
    """The files of one chain, by name below the store, in order."""

    folder: str
    segments: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)

    def covering(self, merged_end: int) -> list[str]:
        """The files that hold each row once, where the merged ones reach up to an offset."""
        first = f"{self.folder}/{segment_name(merged_end)}"
        return self.merged + [name for name in self.segments if name >= first]


def merged_folder(root: Folder, chain: str) -> Folder:
    """Where the merged segments of a chain lie."""
    return root.below(_MERGED + chain)


def merged_name(start: int) -> str:
    """The name of the merged segment that begins at an offset; no reader takes it for a segment of the chain."""
    return segment_name(start).replace(".parquet", ".merged.parquet")


def is_merged(name: str) -> bool:
    """Whether a file in a store, by its name or path, is a merged segment."""
    return _NAME.fullmatch(name.rpartition("/")[2]) is not None


def merged_end(root: Folder, files: ChainFiles) -> int:
    """The offset that a chain's merged segments reach to."""
    return read_facts(root, files.merged[-1]).next if files.merged else 0


def list_chains(root: Folder) -> list[ChainFiles]:
    """Every chain of a store, by folder, as one listing shows them."""
    return sort_into_chains(root.names())


def sort_into_chains(names: Iterable[str]) -> list[ChainFiles]:
    """The published files among some names, in order, by chain; merged files whose chain is not there are nobody's."""
    segments: defaultdict[str, list[str]] = defaultdict(list)
    merged: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        folder = name.rpartition("/")[0]
        if is_segment(name):
            segments[folder].append(name)
        elif is_merged(name):
            merged[folder.removeprefix(_MERGED)].append(name)
    return [ChainFiles(folder, found, merged[folder]) for folder, found in sorted(segments.items())]


def files_from(root: Folder, chain: str, start: int) -> Iterator[tuple[str, SegmentFacts]]:
    """The files that hold a chain's rows from an offset on: its segments, or merged ones where those were pruned."""
    while True:
        name = f"{chain}/{segment_name(start)}"
        try:
            facts = read_facts(root, name)
        except FileNotFoundError:
            holding = _merged_file_of(root, chain, start)
            if holding is None:
                return
            name, facts = holding
        yield name, facts
        start = facts.next


def _merged_file_of(root: Folder, chain: str, offset: int) -> tuple[str, SegmentFacts] | None:
    begin = 0
    while begin <= offset:
        name = f"{_MERGED}{chain}/{merged_name(begin)}"
        try:
            facts = read_facts(root, name)
        except FileNotFoundError:
            return None
        if offset < facts.next:
            return name, facts
        begin = facts.next
    return None
