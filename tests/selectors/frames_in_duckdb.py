"""Scored frames in a DuckDB of their own: the seam that a pool is read through, without a store behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from fleetsift.schemas.selection import Unit
from fleetsift.selectors.pools.expressions import Rows
from fleetsift.store.views import query_errors

CLASSES = ("road", "car")

_STATISTIC = pa.struct([(name, pa.float32()) for name in ("mean", "max", "top")])
_BY_CLASS = pa.struct([(name, pa.float32()) for name in CLASSES])
_SCHEMA = pa.schema(
    [
        ("frame_id", pa.string()),
        ("session_id", pa.string()),
        ("uri", pa.string()),
        ("captured_at", pa.timestamp("us", tz="UTC")),
        ("camera", pa.string()),
        ("metadata", pa.struct([("city", pa.string()), ("lat", pa.float64())])),
        ("extra", pa.string()),
        ("entropy", _STATISTIC),
        ("mutual_information", pa.struct([*_STATISTIC, ("by_class", _BY_CLASS)])),
        ("area", _BY_CLASS),
        ("regions", pa.struct([("entropy", pa.list_(pa.float32()))])),
        ("embedding", pa.list_(pa.float32())),
    ]
)


def frame(frame_id: str, **changes: Any) -> dict[str, Any]:
    """One row, with some of its values replaced: session, camera, city, score, road, car, captured_at, embedding."""
    given = {"session": "s-1", "camera": "front", "city": None, "score": 0.5, "road": 0.25, "car": 0.5} | changes
    given = {"captured_at": datetime(2026, 1, 2, tzinfo=UTC)} | given
    score = given["score"]
    return {
        "frame_id": frame_id,
        "session_id": given["session"],
        "uri": f"/{frame_id}.jpg",
        "captured_at": given["captured_at"],
        "camera": given["camera"],
        "metadata": {"city": given["city"], "lat": 1.25},
        "extra": '{"speed": "fast"}',
        "entropy": {"mean": 1.0, "max": 2.0, "top": 1.5},
        "mutual_information": {
            "mean": score,
            "max": score,
            "top": score,
            "by_class": {"road": given["road"], "car": given["car"]},
        },
        "area": {"road": 0.5, "car": 0.5},
        "regions": {"entropy": [1.0, 1.0]},
        "embedding": given.get("embedding", [1.0, 0.0]),
    }


class FramesInDuckDB:
    """Rows as a view `frames`; `rows_a_chunk` tells how the table lies in memory, as files would."""

    ensemble_id = "tests-000000000000"
    unit: Unit = "frame"
    classes = CLASSES

    def __init__(self, rows: Sequence[dict[str, Any]], rows_a_chunk: int = 1000) -> None:
        self._connection = duckdb.connect()
        self._connection.execute(
            "SET TimeZone = 'UTC'; SET enable_external_access = false; SET lock_configuration = true"
        )
        chunks = [rows[i : i + rows_a_chunk] for i in range(0, len(rows), rows_a_chunk)]
        table = pa.concat_tables([pa.Table.from_pylist(chunk, _SCHEMA) for chunk in chunks] or [_SCHEMA.empty_table()])
        self._connection.register("frames", table)

    def sql(self, query: str, params: Sequence[object] | None = None) -> Rows:
        """Answer a query; raises QueryError."""
        with query_errors():
            return self._connection.sql(query, params=params)
