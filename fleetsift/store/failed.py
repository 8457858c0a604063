"""The rows of a chain that say why a frame was not scored, file by file."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from fleetsift.schemas.dead_letters import DeadLetter
from fleetsift.schemas.status import Status
from fleetsift.store.chain import Namespace
from fleetsift.store.folder import Folder
from fleetsift.store.merged import files_from

_COLUMNS = ("offset", "status", "reason", "frame_id", "session_id", "uri", "captured_at", "vehicle_id", "camera")


def failed_rows(
    root: Folder, namespace: Namespace, partition: int, start: int
) -> Iterator[tuple[list[DeadLetter], int]]:
    """What failed from an offset of a chain on: for each of its files the rows, and the offset it reaches to.

    Files of which nothing failed are passed over by their footers. Raises SegmentCorrupt.
    """
    for name, facts in files_from(root, namespace.place(partition), start):
        if facts.statuses.keys() <= {Status.OK}:
            yield [], facts.next
            continue
        file = pa.BufferReader(root.read(name))
        rows = pq.read_table(file, columns=list(_COLUMNS), filters=[("status", "!=", "ok"), ("offset", ">=", start)])
        yield [_letter(namespace, partition, row) for row in rows.to_pylist()], facts.next


def _letter(namespace: Namespace, partition: int, row: dict[str, object]) -> DeadLetter:
    known = {name: value for name, value in row.items() if value is not None}
    where = {"topic": namespace.topic, "topic_id": namespace.topic_id, "ensemble": namespace.ensemble_id}
    return DeadLetter(**where, partition=partition, **known)  # type: ignore[arg-type]
