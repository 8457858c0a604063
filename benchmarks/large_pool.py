"""The peak of memory while a large pool is read and picked from, in a process of its own.

    python -m benchmarks.large_pool FOLDER FRAMES DIMENSIONS

A million rows are written to FOLDER as Parquet, as segments have them, and read again and again under other names until
there are so many frames. It prints JSON: the peak in bytes, and the seconds for reading and picking.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleetsift.schemas.selection import Cap, Diversity, Score, SelectionSpec, Unit
from fleetsift.selectors.select import select_batch

WRITTEN, ROW_GROUP, A_SESSION = 1_000_000, 131_072, 500
SPEC = SelectionSpec(
    budget=100,
    objectives=(Score(expression="mutual_information.top"), Diversity()),
    constraints=(Cap(most=2), Cap(key="camera", most=50)),
)


class RepeatedFrames:
    """A file of frames, seen so many times under other names: the seam that a store is read through."""

    ensemble_id = "drawn-000000000000"
    classes = ()
    unit: Unit = "frame"

    def __init__(self, file: Path, times: int) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("SET memory_limit = '4GB'")
        self._connection.execute(
            f"CREATE VIEW frames AS SELECT * REPLACE (frame_id || '-' || time AS frame_id) "
            f"FROM range({times}) AS times(time), read_parquet('{file}')"
        )

    def sql(self, query: str, params: Sequence[object] | None = None) -> Any:
        """Answer a query."""
        return self._connection.sql(query, params=params)


def write_frames(file: Path, dimensions: int) -> None:
    """A million frames in sessions, each with a score and an embedding."""
    rng = np.random.default_rng(0)
    schema: pa.Schema | None = None
    writer: pq.ParquetWriter | None = None
    for start in range(0, WRITTEN, ROW_GROUP):
        rows = np.arange(start, min(start + ROW_GROUP, WRITTEN))
        vectors = rng.standard_normal((len(rows), dimensions), dtype=np.float32)
        names = pa.array([f"vehicle-17/2026-03-09/front/{row:08d}" for row in rows])
        top = pa.array(rng.random(len(rows), np.float32))
        table = pa.table(
            {
                "frame_id": names,
                "session_id": pa.array([f"session-{row // A_SESSION:06d}" for row in rows]),
                "uri": pa.array([f"s3://fleet/frames/{name}.jpg" for name in names.to_pylist()]),
                "camera": pa.array([f"camera-{row % 6}" for row in rows]),
                "mutual_information": pa.StructArray.from_arrays([top], ["top"]),
                "embedding": pa.ListArray.from_arrays(
                    pa.array(np.arange(len(rows) + 1, dtype=np.int32) * dimensions), pa.array(vectors.reshape(-1))
                ),
            },
            schema=schema,
        )
        schema = table.schema
        writer = writer or pq.ParquetWriter(file, schema, compression="zstd", compression_level=1)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def main(folder: Path, frames: int, dimensions: int) -> None:
    """Write, read, pick, and say how high memory has been."""
    file = folder / "frames.parquet"
    write_frames(file, dimensions)
    began = time.perf_counter()
    selection = select_batch(RepeatedFrames(file, frames // WRITTEN), SPEC)
    assert (selection.pool_size, len(selection.picks)) == (frames, SPEC.budget)
    peak_kib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    print(json.dumps({"peak_bytes": peak_kib * 1024, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
