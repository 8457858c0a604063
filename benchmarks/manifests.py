"""Large manifests: how long they take to open and to read, what of them is held in memory, and how soon a run goes on.

    python -m benchmarks.manifests [--rows 1000000] [--groups 400] [--formats parquet jsonl csv]

References only: no frame is fetched. Every format is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.manifests.topic import open_manifest

_MIB = 2**20


def write_manifest(path: Path, rows: int, groups: int) -> None:
    """Rows such as a fleet's catalogue has: an id, a session of 600 frames, an address, a time, two other columns."""
    numbers = range(rows)
    table = pa.table(
        {
            "frame_id": [f"drive-{n // 600:06d}-{n % 600:04d}" for n in numbers],
            "session_id": [f"drive-{n // 600:06d}" for n in numbers],
            "uri": [f"2026/drive-{n // 600:06d}/front/{n % 600:06d}.jpg" for n in numbers],
            "captured_at": pa.array([1_767_225_600_000_000 + 100_000 * n for n in numbers], pa.timestamp("us", "UTC")),
            "city": [f"city-{n % 7}" for n in numbers],
            "speed_kmh": [n % 130 / 1.3 for n in numbers],
        }
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=-(-rows // groups))
    elif path.suffix == ".csv":
        pcsv.write_csv(table, path)
    else:
        with path.open("w", encoding="utf-8") as file:
            for row in _dicts(table):
                file.write(json.dumps(row | {"captured_at": row["captured_at"].isoformat()}) + "\n")


def _dicts(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(10_000):
        yield from batch.to_pylist()


def measure(path: Path) -> dict[str, float]:
    """Open it, read all of it as one worker, and go on in the middle of its last part; MiB are what each adds."""
    me = psutil.Process()
    before, spec = me.memory_info().rss, ManifestSpec(path=str(path))
    began = time.perf_counter()
    topic = open_manifest(spec)
    opened = time.perf_counter()
    most = opened_bytes = me.memory_info().rss
    read = 0
    for batch in topic.read(dict.fromkeys(topic.partitions, 0), batch=32, until_end=True).batches(Event()):
        read += len(batch)
        if read % 3_200 == 0:
            most = max(most, me.memory_info().rss)
    done = time.perf_counter()
    last = topic.partitions[-1]
    middle = topic.manifest.parts[last].rows // 2
    next(islice(topic.read({last: middle}, batch=32, until_end=True).batches(Event()), 1))
    return {
        "MiB": path.stat().st_size / _MIB,
        "parts": len(topic.partitions),
        "open_s": opened - began,
        "open_MiB": (opened_bytes - before) / _MIB,
        "rows_per_s": read / (done - opened),
        "read_MiB": (most - opened_bytes) / _MIB,
        "resume_s": time.perf_counter() - done,
    }


def main() -> None:
    """Write, measure and print one line a format."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manifests", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--groups", type=int, default=400, help="row groups of the Parquet file")
    parser.add_argument("--formats", nargs="+", default=["parquet", "jsonl", "csv"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for format_ in options.formats:
            path = Path(folder) / f"manifest.{format_}"
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as writer:
                writer.submit(write_manifest, path, options.rows, options.groups).result()
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as reader:
                found = reader.submit(measure, path).result()
            print(f"{format_:8}", *(f"{name} {value:,.2f}" for name, value in found.items()), sep="  ", flush=True)


if __name__ == "__main__":
    main()
