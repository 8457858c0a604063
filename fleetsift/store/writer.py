"""Rows in, segments out: keeps the rows of each partition until there are enough of them, or they are old enough."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import pyarrow as pa

from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.scores import FrameScores
from fleetsift.store.chain import ChainWriter, Namespace, resume
from fleetsift.store.folder import open_folder
from fleetsift.store.rows import RowLayout, rows_table


class StoreWriter:
    """The writing end of the score store, for some partitions of one topic and one ensemble."""

    def __init__(
        self,
        spec: StoreSpec,
        namespace: Namespace,
        layout: RowLayout,
        partitions: Iterable[int],
        before_publish: Callable[[], None] = lambda: None,
    ) -> None:
        """Find where each partition's chain goes on; raises SegmentCorrupt where a chain cannot be trusted.

        `before_publish` is asked before every segment, and raises where rows must not join the namespace's chains.
        """
        self._before_publish = before_publish
        self._spec = spec
        self._layout = layout
        writer = uuid.uuid4().hex
        store = open_folder(spec.path, spec.timeout_s)
        folders = {p: namespace.folder(store, p) for p in partitions}
        self._chains = {
            p: ChainWriter(folder, namespace, p, writer, resume(folder, namespace, p)) for p, folder in folders.items()
        }
        self._pending: dict[int, list[pa.Table]] = {p: [] for p in self._chains}
        self._since: dict[int, float] = {}

    def ends(self) -> dict[int, int]:
        """The offset each partition goes on from."""
        return {partition: chain.end for partition, chain in self._chains.items()}

    def append(self, refs: Sequence[FrameRef], scores: FrameScores) -> None:
        """Take the scored rows of one batch, in order; publishes every partition that is due.

        An empty batch is a tick of the clock. Raises StoreError where a segment cannot be published.
        """
        if refs:
            table = rows_table(refs, scores, self._layout)
            begin = 0
            for partition, run in groupby(ref.position.partition for ref in refs):
                size = len(list(run))
                self._pending[partition].append(table.slice(begin, size))
                self._since.setdefault(partition, time.monotonic())
                begin += size
        for partition in [p for p in self._since if self._is_due(p)]:
            self._publish(partition)

    def flush(self) -> None:
        """Publish everything that is kept."""
        for partition in list(self._since):
            self._publish(partition)

    def _is_due(self, partition: int) -> bool:
        rows = sum(table.num_rows for table in self._pending[partition])
        return rows >= self._spec.flush_rows or time.monotonic() - self._since[partition] >= self._spec.flush_s

    def _publish(self, partition: int) -> None:
        self._before_publish()
        table = pa.concat_tables(self._pending[partition])
        self._chains[partition].publish(table, upto=table["offset"][-1].as_py() + 1)
        self._pending[partition] = []
        del self._since[partition]
