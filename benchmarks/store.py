"""The store as analysts meet it: many small segments against merged ones, and what a stored frame weighs.

    python -m benchmarks.store [--quick] [--json FILE]

Rows are drawn: twelve classes, a 3 x 4 grid of regions, every number noisy, sessions of 500 frames, embeddings absent.
Each query is asked by a store that was opened before, warm; a figure is the median of five turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fleetsift import ScoreStore
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.scores import QUANTITIES, ByClass, FrameScores, RegionGrid, Statistic
from fleetsift.store.chain import Namespace
from fleetsift.store.compaction import MergeSize, compact_store
from fleetsift.store.rows import RowLayout
from fleetsift.store.writer import StoreWriter

CLASSES = tuple(f"class_{i}" for i in range(12))
NAMESPACE = Namespace("fleet.frames", "drawn", "drawn-000000000000", CLASSES)
LAYOUT = RowLayout(NAMESPACE.ensemble_id, 8, {"city": "string", "speed_mps": "double"})
GRID = (3, 4)
ROWS_A_SEGMENT, PARTITIONS, TURNS = 200, 2, 5
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

QUERIES = {
    "group_by": "SELECT vehicle_id, avg(mutual_information.mean), count(*) FROM frames GROUP BY 1",
    "best_3_a_session": "SELECT session_id, frame_id FROM frames QUALIFY row_number() OVER "
    "(PARTITION BY session_id ORDER BY mutual_information.top DESC) <= 3",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    options = parser.parse_args(arguments)
    segments = 1_000 if options.quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "scores", segments)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {segments} segments")
    for name, value in figures.items():
        print(f"{name:36} {value:12.4f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(store: Path, segments: int) -> dict[str, float]:
    """Seconds to write, open, ask and merge; bytes a row before and after."""
    rows = segments * ROWS_A_SEGMENT
    figures = {"rows": float(rows), "segments": float(segments), "write_s": _timed(lambda: write(store, segments))}
    figures |= ask(store, "small") | {"small_bytes_a_row": _bytes(store, "*.parquet") / rows}
    figures["merge_s"] = _timed(lambda: compact_store(store, MergeSize(everything=True), None, datetime.now(UTC)))
    figures["merge_rows_per_s"] = rows / figures["merge_s"]
    figures |= ask(store, "merged") | {"merged_bytes_a_row": _bytes(store, "*.merged.parquet") / rows}
    for query in ("open", *QUERIES):
        figures[f"{query}_speedup"] = figures[f"small_{query}_s"] / figures[f"merged_{query}_s"]
    return figures


def write(store: Path, segments: int) -> None:
    """Publish drawn rows in small segments."""
    rng = np.random.default_rng(0)
    writer = StoreWriter(StoreSpec(path=str(store), flush_rows=ROWS_A_SEGMENT), NAMESPACE, LAYOUT, range(PARTITIONS))
    for number in range(segments):
        writer.append(draw_refs(number, rng), draw_scores(ROWS_A_SEGMENT, rng))
    writer.flush()


def draw_refs(segment: int, rng: np.random.Generator) -> list[FrameRef]:
    """References of one segment; a partition has whole sessions of 500 frames, two and a half segments each."""
    partition, first = segment % PARTITIONS, segment // PARTITIONS * ROWS_A_SEGMENT
    speeds = rng.normal(12.0, 4.0, ROWS_A_SEGMENT)
    return [
        FrameRef(
            position=Position(NAMESPACE.topic, partition, offset),
            frame_id=f"fs-{partition:02d}-{offset:08d}",
            session_id=f"fs-{partition:02d}-{offset // 500:05d}",
            uri=f"s3://fleet/frames/fs-{partition:02d}/{offset // 500:05d}/{offset:08d}.jpg",
            captured_at=BEGAN + timedelta(milliseconds=100 * offset),
            vehicle_id=f"fs-{partition:02d}-{offset // 5000 % 40:03d}",
            camera="front",
            metadata={"city": f"city-{offset // 500 % 7}", "speed_mps": round(float(speeds[offset - first]), 2)},
        )
        for offset in range(first, first + ROWS_A_SEGMENT)
    ]


def draw_scores(n: int, rng: np.random.Generator) -> FrameScores:
    """Scores of n frames, no two numbers alike: nothing compresses better than it would on a road."""

    def draw(*shape: int) -> np.ndarray:
        return rng.gamma(2.0, 0.1, (n, *shape)).astype(np.float32)

    quantities: dict[str, Any] = {name: Statistic(draw(), draw(), draw()) for name in QUANTITIES}
    by_class = ByClass(*(draw(len(CLASSES)) for _ in range(4)))
    cells = GRID[0] * GRID[1]
    return FrameScores(
        classes=CLASSES,
        by_class=by_class,
        regions=RegionGrid(*GRID, draw(cells), draw(cells)),
        embedding=np.zeros((n, 0), np.float32),
        problems=(None,) * n,
        **quantities,
    )


def ask(store: Path, state: str) -> dict[str, float]:
    """Seconds to open a store and to answer each query, the first time not counted."""
    figures = {f"{state}_open_s": statistics.median(_timed(lambda: ScoreStore(store).close()) for _ in range(3))}
    with ScoreStore(store) as opened:
        for name, query in QUERIES.items():
            seconds = [_timed(partial(_answer, opened, query)) for _ in range(TURNS + 1)]
            figures[f"{state}_{name}_s"] = statistics.median(seconds[1:])
    return figures


def _answer(store: ScoreStore, query: str) -> None:
    store.sql(query).fetchall()


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _bytes(store: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in store.rglob(pattern))


if __name__ == "__main__":
    main()
