"""The frames that advice looks at: whole sessions, drawn by a hash of their names, so that neighbours stay together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from fleetsift.errors import SelectionError
from fleetsift.schemas.scores import RankingQuantity, ranking_quantity
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.pools.columns import numbers, texts
from fleetsift.selectors.pools.expressions import check_expression
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.selectors.pools.pool import F32, F64
from fleetsift.selectors.pools.vectors import vectors
from fleetsift.store.views import ScoreStore, query_errors

MOST_FRAMES = 10_000  # every pair of them is compared: some two to six seconds of CPU

_POOL = """
WITH pool AS (
    SELECT * FROM frames WHERE ({where}
    ) AND NOT list_contains($1::VARCHAR[], session_id) AND frame_id NOT IN (SELECT unnest($2::VARCHAR[]))
)
"""
_SESSIONS = "SELECT session_id, count(*) FROM pool GROUP BY 1 ORDER BY md5(session_id), session_id"
_MEMBERS = "SELECT coalesce(max(members), 0) FROM pool"
_ROWS = """
SELECT frame_id, session_id, uri, embedding, {quantity}.mean AS score
FROM pool WHERE session_id IN (SELECT unnest($3::VARCHAR[])) AND isfinite({quantity}.mean)
ORDER BY array_position($3::VARCHAR[], session_id), captured_at, frame_id LIMIT {most}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """N frames of the pool in the order of their frame_id, every session whole but perhaps the last that was drawn."""

    frame_id: Any  # (N,) strings
    session_id: Any  # (N,)
    uri: Any  # (N,)
    sessions: NDArray[np.int64]  # (N,) a number for each session
    embedding: F32  # (N, D)
    quantity: RankingQuantity  # what frames are ranked by
    score: F64  # (N,) its mean over the frame, nats
    pool_frames: int  # of which this is a sample
    pool_sessions: int

    def __len__(self) -> int:
        return len(self.frame_id)

    @property
    def share(self) -> float:
        """How much of the pool was looked at."""
        return len(self) / self.pool_frames


class PoolRows:
    """The candidates of a selection as a relation `pool` to ask about."""

    def __init__(self, store: ScoreStore, spec: SelectionSpec) -> None:
        """Raises SelectionError for a filter that is refused, or labelled frames that cannot be read."""
        if spec.where:
            check_expression(store, "selection.where", spec.where)
        self._store = store
        self.ensemble_id = store.ensemble_id
        self._pool = _POOL.format(where=spec.where or "true")
        taken = read_labelled(spec.labelled.frames) | read_labelled(spec.exclude, "selection.exclude")
        self._left_out: list[Sequence[str]] = [
            spec.labelled.sessions,
            sorted(taken.union(read_rounds(spec.continues))),
        ]

    def members(self) -> int:
        """How many networks scored the pool; 0 where it is empty."""
        return int(self.ask(_MEMBERS).columns[0][0].as_py())

    def ask(self, query: str, *values: object) -> Any:
        """A SELECT over `pool` with values bound to $3 and on, as an Arrow table; raises QueryError."""
        with query_errors():
            return self._store.sql(self._pool + query, [*self._left_out, *values]).to_arrow_table()


def draw_sample(rows: PoolRows, most: int = MOST_FRAMES) -> Sample:
    """Draw sessions until there are enough frames; the same store gives the same sample.

    Raises SelectionError where the pool is empty or has no embeddings.
    """
    sessions, counts = (column.to_pylist() for column in rows.ask(_SESSIONS).columns)
    total, drawn, held = sum(counts), [], 0
    for session, count in zip(sessions, counts, strict=True):
        if held >= most:
            break
        drawn.append(session)
        held += count
    quantity = ranking_quantity(rows.members())
    table = rows.ask(_ROWS.format(most=most, quantity=quantity), drawn).sort_by("frame_id")
    if len(table):  # an empty column has vectors of no length
        if not pc.max(pc.list_value_length(table.column("embedding"))).as_py():
            raise SelectionError(
                f"advise: expected embeddings, {rows.ensemble_id} has none; name the networks' embedding output in the "
                "ensemble file, and score again"
            )
        embedding, whole = vectors(table.column("embedding"))
        table = table.filter(whole)
    if len(table) < 2:
        raise SelectionError(
            f"advise: expected two scored frames or more that are not labelled and have embeddings, got {len(table)}; "
            "widen the filter, or score more"
        )
    _, codes = np.unique(table.column("session_id").to_numpy(), return_inverse=True)
    return Sample(
        frame_id=texts(table.column("frame_id")),
        session_id=texts(table.column("session_id")),
        uri=texts(table.column("uri")),
        sessions=codes.astype(np.int64),
        embedding=np.ascontiguousarray(embedding[whole]),
        quantity=quantity,
        score=numbers(table.column("score")),
        pool_frames=total,
        pool_sessions=len(sessions),
    )
