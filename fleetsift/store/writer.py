"""Rows in, segments out: keeps the rows of each partition until they are enough, large enough, or old enough."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from threading import Event

import pyarrow as pa

from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.scores import FrameScores
from fleetsift.store.chain import ChainWriter, Listeners, Namespace
from fleetsift.store.chains import Chains
from fleetsift.store.rows import RowLayout, rows_table


@dataclass(slots=True)
class _Kept:
    """The rows of one partition that are not published yet."""

    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    in_memory_bytes: int = 0
    since_s: float = field(default_factory=time.monotonic)

    def add(self, table: pa.Table, in_memory_bytes: int) -> None:
        self.tables.append(table)
        self.rows += table.num_rows
        self.in_memory_bytes += in_memory_bytes

    def is_due(self, spec: StoreSpec) -> bool:
        return (
            self.rows >= spec.flush_rows
            or self.in_memory_bytes >= spec.flush_bytes
            or time.monotonic() - self.since_s >= spec.flush_s
        )


class StoreWriter:
    """The writing end of the score store, for some partitions of one topic and one ensemble."""

    def __init__(
        self,
        spec: StoreSpec,
        namespace: Namespace,
        layout: RowLayout,
        partitions: Iterable[int],
        listeners: Listeners | None = None,
        stop: Event | None = None,
    ) -> None:
        """Find where each partition's chain goes on; raises SegmentCorrupt where a chain cannot be trusted.

        An object store that is away is waited for, now and whenever rows are published; after `stop`, ten seconds.
        """
        self._spec = spec
        self._layout = layout
        writer, chains = uuid.uuid4().hex, Chains.open(spec, namespace, stop or Event())
        self._chains = {
            p: ChainWriter(chains.folder(p), namespace, p, writer, last, listeners or Listeners(), chains.patience)
            for p, last in chains.verified(partitions).items()
        }
        for chain in self._chains.values():
            chain.folder.sweep()
        self._kept: dict[int, _Kept] = {}

    def ends(self) -> dict[int, int]:
        """The offset each partition goes on from."""
        return {partition: chain.end for partition, chain in self._chains.items()}

    @property
    def kept_rows(self) -> int:
        """Rows that are not published yet; other threads may ask."""
        return sum(kept.rows for kept in list(self._kept.values()))

    def append(self, refs: Sequence[FrameRef], scores: FrameScores) -> None:
        """Take the scored rows of one batch, in order; publishes every partition that is due.

        An empty batch is a tick of the clock. Raises StoreError where a segment cannot be published.
        """
        if refs:
            table = rows_table(refs, scores, self._layout)
            row_bytes = table.get_total_buffer_size() // len(refs)  # `nbytes` of each slice costs as much as its rows
            begin = 0
            for partition, run in groupby(ref.position.partition for ref in refs):
                size = len(list(run))
                self._kept.setdefault(partition, _Kept()).add(table.slice(begin, size), size * row_bytes)
                begin += size
        for partition in [p for p, kept in self._kept.items() if kept.is_due(self._spec)]:
            self._publish(partition)

    def seal(self, partition: int, upto: int, reason: str) -> None:
        """Publish what is kept of a partition, then an empty segment up to an offset that says why it is empty."""
        if partition in self._kept:
            self._publish(partition)
        self._chains[partition].seal(upto, reason)

    def flush(self) -> None:
        """Publish everything that is kept."""
        for partition in list(self._kept):
            self._publish(partition)

    def _publish(self, partition: int) -> None:
        table = pa.concat_tables(self._kept[partition].tables).combine_chunks()  # a chunk a batch is slow to write
        self._chains[partition].publish(table, upto=table["offset"][-1].as_py() + 1)
        del self._kept[partition]
