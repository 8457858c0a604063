"""From a store and a specification to the pool: one query for the columns that are needed, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.pools.choice import expect_a_choice, expect_some
from fleetsift.selectors.pools.columns import flags, key, moments, numbers, numbers_of, texts
from fleetsift.selectors.pools.expressions import ScoredFrames, check_unit
from fleetsift.selectors.pools.judging import COUNTS, ONE, ROWS, judge
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.selectors.pools.needs import Needs, check_needs, needs_of
from fleetsift.selectors.pools.pool import F64, Flags, Pool, Rows
from fleetsift.selectors.pools.vectors import Vectors
from fleetsift.store.views import query_errors

ROWS_AT_ONCE = 65_536


def read_pool(store: ScoredFrames, spec: SelectionSpec) -> Pool:
    """Read the candidates of a selection: admitted by its filter, not labelled, not excluded, of no session left out.

    A candidate whose score is NULL or not finite, or that lacks an embedding or captured_at where one is needed, is
    left out and counted. Labelled frames, and the picks that it continues, come along wherever the filter stands.
    Raises SelectionError for an expression that is refused or has no number, and where no candidate is left.
    """
    check_unit(store, spec)
    needs = needs_of(spec)
    check_needs(store, spec, needs)
    judged, bound = judge(spec, needs)
    with query_errors():
        rows, vectors = _stream(store, judged + ROWS.format(columns=needs.columns()), bound, needs)
        counts = store.sql(judged + COUNTS, bound).fetchall()[0]
    reasons = ("where", "picked earlier", "labelled", "session left out", "excluded")
    left_out = dict(zip(reasons, counts, strict=True))
    return _pool(store, rows, vectors, needs, spec, left_out)


def reason_left_out(store: ScoredFrames, spec: SelectionSpec, frame_id: str) -> str | None:
    """The first reason for which a frame of the store is no candidate, by the name under which it is counted.

    Raises SelectionError as `read_pool` does, and where the store has no scored frame of this name.
    """
    check_unit(store, spec)
    needs = needs_of(spec)
    check_needs(store, spec, needs)
    judged, bound = judge(spec, needs)
    with query_errors():
        found = store.sql(judged + ONE.format(columns=needs.columns()), [*bound, frame_id]).to_arrow_table()
    if not len(found):
        raise SelectionError(
            f"{frame_id!r}: expected a scored frame of the store, got none; ask the view rows for its status and reason"
        )
    (row,) = found.to_pylist()
    scores, class_scores, areas = _numbers(store, found, needs, spec)
    reasons = {
        "where": not row["fleetsift_admitted"],
        "picked earlier": row["fleetsift_earlier"],
        "labelled": row["fleetsift_labelled"],
        "session left out": row["fleetsift_session"],
        "excluded": row["fleetsift_excluded"],
        **{
            f"no finite {name}": not np.isfinite(values[0])
            for name, values in _named(needs, scores, class_scores, areas).items()
        },
        "no captured_at": needs.captured and row["captured_us"] is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _stream(store: ScoredFrames, query: str, bound: Sequence[object], needs: Needs) -> tuple[Any, Vectors]:
    """The rows by frame_id, and their embeddings in that order; DuckDB never has to sort an embedding."""
    reader, vectors, batches = store.sql(query, bound).to_arrow_reader(ROWS_AT_ONCE), Vectors(), []
    for batch in reader:
        if needs.embedding:
            vectors.append(batch.column("embedding"))
            batch = batch.drop_columns(["embedding"])  # noqa: PLW2901 - what stays of it
        batches.append(batch)
    kept = [field for field in reader.schema if field.name != "embedding"]
    rows = pa.Table.from_batches(batches, pa.schema(kept))
    order = pc.sort_indices(rows.column("frame_id"))
    vectors.sort(order.to_numpy().astype(np.int64))
    return rows.take(order), vectors


def _pool(
    store: ScoredFrames, rows: Any, vectors: Vectors, needs: Needs, spec: SelectionSpec, left_out: dict[str, int]
) -> Pool:
    """Sift the candidates from the rows; adds to `left_out`, by the first reason that keeps a frame out."""
    scores, class_scores, areas = _numbers(store, rows, needs, spec)
    has = {
        f"no finite {name}": np.isfinite(values) for name, values in _named(needs, scores, class_scores, areas).items()
    }
    everybody = np.ones(len(rows), np.bool_)
    dated = flags(rows.column("captured_us").is_valid()) if needs.captured else everybody
    measurable = vectors.whole() if needs.embedding else everybody
    candidate = flags(rows.column("candidate"))
    for reason, holds in (has | {"no captured_at": dated, "no embedding": measurable}).items():
        left_out[reason] = int((candidate & ~holds).sum())
        candidate &= holds
    expect_some(candidate, left_out, spec)
    labelled = flags(rows.column("labelled")) & measurable & (dated | ("gaps" not in spec.labelled.counts_in))
    earlier = flags(rows.column("earlier")) & measurable & dated
    kept = candidate | labelled | earlier
    embeddings = _embeddings(rows, vectors, needs, measurable, kept) if needs.embedding else {}
    rounds = read_rounds(spec.continues)
    rows = rows.filter(pa.array(kept))

    def of_candidates(values: F64) -> F64:
        """What a settled frame is worth has no meaning."""
        return np.where(candidate[kept], values[kept], 0.0)

    pool = Pool(
        ensemble_id=store.ensemble_id,
        frame_id=texts(rows.column("frame_id")),
        session_id=texts(rows.column("session_id")),
        uri=texts(rows.column("uri")),
        scores={text: of_candidates(values) for text, values in scores.items()},
        keys={text: key(rows.column(f"key_{i}")) for i, text in enumerate(needs.keys)},
        captured_us=moments(rows.column("captured_us")) if needs.captured else None,
        class_scores={name: of_candidates(values) for name, values in class_scores.items()},
        areas={
            text: {name: np.nan_to_num(values[kept], posinf=0, neginf=0) for name, values in columns.items()}
            for text, columns in areas.items()
        },
        labelled=np.flatnonzero(labelled[kept]),
        earlier=_in_order(rows.column("frame_id"), np.flatnonzero(earlier[kept]), rounds),
        rounds=rounds,
        left_out={reason: count for reason, count in left_out.items() if count},
        uncounted=_uncounted(spec, rounds, labelled, earlier),
        **embeddings,
    )
    expect_a_choice(pool, spec)
    return pool


def _embeddings(rows: Any, vectors: Vectors, needs: Needs, measurable: Flags, kept: Flags) -> dict[str, Any]:
    """Those of frames that are compared with, by the name of the comparison, and those of the frames that are kept."""
    return {
        "given": {
            name: vectors.of(np.flatnonzero(_places(rows, measurable, name, *names)))
            for name, names in needs.given.items()
        },
        "embedding": vectors.move(np.where(kept, np.cumsum(kept) - 1, -1)),
    }


def _uncounted(spec: SelectionSpec, rounds: tuple[str, ...], labelled: Flags, earlier: Flags) -> dict[str, int]:
    """Frames of labelled files and of earlier rounds that the store does not have."""
    missing = {
        "labelled": len(read_labelled(spec.labelled.frames).difference(rounds)) - int(labelled.sum()),
        "earlier": len(rounds) - int(earlier.sum()),
    }
    return {what: count for what, count in missing.items() if count}


def _in_order(frame_ids: Any, rows: Rows, rounds: Sequence[str]) -> Rows:
    """Some rows in the order in which rounds picked them."""
    row_of = dict(zip(frame_ids.take(pa.array(rows)).to_pylist(), rows.tolist(), strict=True))
    return np.array([row_of[frame_id] for frame_id in rounds if frame_id in row_of], np.int64)


def _places(rows: Any, measurable: Flags, name: str, frame_ids: frozenset[str], session_ids: frozenset[str]) -> Flags:
    """Which rows are the frames that an entry names; raises SelectionError where one of them has no embedding."""
    of_frames, of_sessions = (
        flags(pc.is_in(rows.column(column), pa.array(sorted(names), pa.string())))
        for column, names in (("frame_id", frame_ids), ("session_id", session_ids))
    )
    meant = of_frames | of_sessions
    absent = frame_ids.difference(rows.column("frame_id").filter(pa.array(of_frames)).to_pylist())
    absent |= session_ids.difference(rows.column("session_id").filter(pa.array(of_sessions)).to_pylist())
    absent |= set(rows.column("frame_id").filter(pa.array(meant & ~measurable)).to_pylist())
    if absent or not meant.any():
        some = f"{len(absent)} are none, such as {min(absent)!r}" if absent else "none is named"
        raise SelectionError(
            f"selection {name}: expected frames or sessions of the store that have embeddings, {some}; score them, or "
            "leave them out"
        )
    return meant


def _numbers(
    store: ScoredFrames, rows: Any, needs: Needs, spec: SelectionSpec
) -> tuple[dict[str, F64], dict[str, F64], dict[str, dict[str, F64]]]:
    """Scores by expression, class scores by class, and areas by expression and class, (N,) each."""
    scores = {text: numbers(rows.column(f"score_{i}")) for i, text in enumerate(needs.scores)}
    areas = {text: numbers_of(rows.column(f"areas_{i}")) for i, text in enumerate(needs.areas)}
    return scores, _class_scores(store, rows, spec), areas


def _named(
    needs: Needs, scores: dict[str, F64], class_scores: dict[str, F64], areas: dict[str, dict[str, F64]]
) -> dict[str, F64]:
    """All of these by the names that people know them under."""
    named = scores | {f"{needs.class_scores}.{name}": values for name, values in class_scores.items()}
    return named | {f"{text}.{name}": values for text, columns in areas.items() for name, values in columns.items()}


def _class_scores(store: ScoredFrames, rows: Any, spec: SelectionSpec) -> dict[str, F64]:
    if spec.round_robin is None:
        return {}
    column = rows.column("class_scores")
    known = [column.type.field(i).name for i in range(column.type.num_fields)]
    classes: Sequence[str] = spec.round_robin.classes or [name for name in store.classes if name in known]
    if unknown := [name for name in classes if name not in known]:
        raise SelectionError(
            f"selection.round_robin.classes: expected classes of {spec.round_robin.score}, got {unknown}; "
            f"there are {', '.join(known)}"
        )
    return {name: numbers(pc.struct_field(column, name)) for name in classes}
