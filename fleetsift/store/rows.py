"""One row a frame: references and scores as an Arrow table, with the columns an analyst types.

`entropy.mean`, `mutual_information.by_class.person`, `area.road`, `metadata.city`; `regions` and `embedding` are lists.
A frame that has a problem has its status, its reason, and no numbers. What a task does not have is no column: variation
ratio, margin and `argmax` with independent classes, `regions` where a frame is one position. `objects` is there where
the ensemble file says how boxes are found, `equal` where its members see mirror images too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from fleetsift.schemas.fleet import ColumnType
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.scores import (
    EQUAL_DISTANCES,
    F32,
    OBJECT_QUANTITIES,
    QUANTITIES,
    REGION_QUANTITIES,
    FrameScores,
    RegionGrid,
)
from fleetsift.schemas.status import Status

SCHEMA_VERSION = 1  # the major version: a reader of version 1 understands every row of version 1

CATEGORICAL = ("topic", "session_id", "vehicle_id", "camera", "status", "reason", "ensemble")

_ARROW_TYPES = {"string": pa.string(), "double": pa.float64(), "bigint": pa.int64(), "boolean": pa.bool_()}
_LARGEST_EXACT_DOUBLE = 2**53  # of the integers below it a double loses none
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "double": (float, int),
    "bigint": (int,),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class RowLayout:
    """What every row of one run shares."""

    ensemble_id: str
    members: int
    metadata: Mapping[str, ColumnType] = field(default_factory=dict)


def rows_table(refs: Sequence[FrameRef], scores: FrameScores, layout: RowLayout) -> pa.Table:
    """Join N references with their N scores, in order; raises ValueError where the lengths differ."""
    if len(refs) != len(scores):
        raise ValueError(f"rows_table.scores: expected {len(refs)} frames, got {len(scores)}")
    absent = pa.array([problem is not None for problem in scores.problems]) if any(scores.problems) else None
    return pa.table(_reference_columns(refs, scores, layout) | _score_columns(scores, absent))


def _reference_columns(refs: Sequence[FrameRef], scores: FrameScores, layout: RowLayout) -> dict[str, Any]:
    """Position, identity, metadata, status."""
    columns: dict[str, Any] = {
        "topic": pa.array([ref.position.topic for ref in refs], pa.string()),
        "partition": pa.array([ref.position.partition for ref in refs], pa.int32()),
        "offset": pa.array([ref.position.offset for ref in refs], pa.int64()),
        "frame_id": pa.array([ref.frame_id for ref in refs], pa.string()),
        "session_id": pa.array([ref.session_id for ref in refs], pa.string()),
        "uri": pa.array([ref.uri for ref in refs], pa.string()),
        "captured_at": pa.array([ref.captured_at for ref in refs], pa.timestamp("us", tz="UTC")),
        "vehicle_id": pa.array([ref.vehicle_id for ref in refs], pa.string()),
        "camera": pa.array([ref.camera for ref in refs], pa.string()),
        "height": pa.array([ref.size and ref.size[0] for ref in refs], pa.int32()),
        "width": pa.array([ref.size and ref.size[1] for ref in refs], pa.int32()),
    }
    typed, extra = (
        zip(*(_split_metadata(ref.metadata, layout.metadata) for ref in refs), strict=True) if refs else ((), ())
    )
    if layout.metadata:
        fields = [pa.field(key, _ARROW_TYPES[kind]) for key, kind in layout.metadata.items()]
        columns["metadata"] = pa.array(list(typed), pa.struct(fields))
    columns["extra"] = pa.array(list(extra), pa.string())
    problems = scores.problems
    columns["status"] = pa.array([str(problem.status if problem else Status.OK) for problem in problems], pa.string())
    columns["reason"] = pa.array([problem.reason if problem else None for problem in problems], pa.string())
    columns["ensemble"] = pa.array([layout.ensemble_id] * len(refs), pa.string())
    columns["members"] = pa.array([layout.members] * len(refs), pa.int16())
    return columns


def _split_metadata(
    metadata: Mapping[str, Any], declared: Mapping[str, ColumnType]
) -> tuple[dict[str, Any], str | None]:
    """Declared keys of the declared type become columns; everything else stays as JSON text."""
    typed = {key: metadata[key] for key, kind in declared.items() if key in metadata and _fits(metadata[key], kind)}
    extra = {key: value for key, value in metadata.items() if key not in typed}
    return typed, msgspec.json.encode(extra, order="deterministic").decode() if extra else None


def _fits(value: Any, kind: ColumnType) -> bool:
    if isinstance(value, bool) != (kind == "boolean") or not isinstance(value, _PYTHON_TYPES[kind]):
        return False
    if not isinstance(value, int):
        return not isinstance(value, float) or math.isfinite(value)  # NaN would be a value that frames share
    return abs(value) <= _LARGEST_EXACT_DOUBLE if kind == "double" else -(2**63) <= value < 2**63


def _score_columns(scores: FrameScores, absent: pa.Array | None) -> dict[str, Any]:
    """Every number an ensemble gives; null where `absent` (N,) is true, and nowhere without it."""
    by_class = {
        name: _struct(dict(zip(scores.classes, _columns(values), strict=True)), absent)
        for name in ("entropy", "mutual_information", "area", "argmax")
        if (values := getattr(scores.by_class, name)) is not None
    }
    columns: dict[str, Any] = {}
    for name in QUANTITIES:
        statistic = getattr(scores, name)
        if statistic is None:
            continue
        parts: dict[str, Any] = {"mean": statistic.mean, "max": statistic.max, "top": statistic.top}
        if name in by_class:
            parts["by_class"] = by_class[name]
        columns[name] = _struct(parts, absent)
    columns["area"] = by_class["area"]
    if "argmax" in by_class:
        columns["argmax"] = by_class["argmax"]
    if scores.regions:
        columns["regions"] = _regions(scores.regions, absent)
    if scores.objects:
        columns["objects"] = _struct({q: getattr(scores.objects, q) for q in OBJECT_QUANTITIES}, absent)
    if scores.equal:
        columns["equal"] = _struct({distance: getattr(scores.equal, distance) for distance in EQUAL_DISTANCES}, absent)
    columns["embedding"] = _lists(scores.embedding, absent)
    return columns


def _regions(grid: RegionGrid, absent: pa.Array | None) -> pa.StructArray:
    n = len(grid.entropy)
    shape = {name: np.full(n, size, np.int16) for name, size in (("rows", grid.rows), ("columns", grid.columns))}
    lists = {name: _lists(getattr(grid, name), absent) for name in REGION_QUANTITIES}
    lists |= {"argmax": _lists(grid.argmax, absent)} if grid.argmax is not None else {}
    return _struct(shape | lists, absent)


def _columns(values: F32) -> list[pa.Array]:
    """(N, K) as K columns of N that lie in one buffer: with many classes that is most of what a row costs."""
    n, k = values.shape
    flat = pa.array(np.ascontiguousarray(values.T).reshape(-1))
    return [flat.slice(i * n, n) for i in range(k)]


def _struct(parts: Mapping[str, Any], absent: pa.Array | None) -> pa.StructArray:
    arrays = [part if isinstance(part, pa.Array) else pa.array(np.ascontiguousarray(part)) for part in parts.values()]
    return pa.StructArray.from_arrays(arrays, names=list(parts), mask=absent)


def _lists(values: F32, absent: pa.Array | None) -> pa.ListArray:
    """(N, K) as N lists of K; null where absent, or where K is 0."""
    n, k = values.shape
    if k == 0:
        return pa.nulls(n, pa.list_(pa.float32()))
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * k)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).reshape(-1)), mask=absent)
