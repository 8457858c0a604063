"""From a store and a specification to the pool: one query for the columns that are needed, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Diversity,
    Gap,
    Guard,
    Quota,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
)
from fleetsift.selectors.columns import flags, key, moments, numbers, texts, vectors
from fleetsift.selectors.expressions import NUMBERS, ScoredFrames, check_expression
from fleetsift.selectors.labelled import read_labelled
from fleetsift.selectors.pool import F64, Flags, Pool
from fleetsift.store.views import query_errors

_JUDGED = """
WITH judged AS (
    SELECT *,
        frame_id IN (SELECT unnest($1::VARCHAR[])) AS fleetsift_labelled,
        session_id IN (SELECT unnest($2::VARCHAR[])) AS fleetsift_session,
        frame_id IN (SELECT unnest($3::VARCHAR[])) OR session_id IN (SELECT unnest($4::VARCHAR[])) AS fleetsift_given,
        coalesce(TRY(({where}
        )), false) AS fleetsift_admitted
    FROM frames
)
"""
_COUNTS = """
SELECT
    count(*) FILTER (WHERE NOT fleetsift_admitted),
    count(*) FILTER (WHERE fleetsift_admitted AND fleetsift_labelled),
    count(*) FILTER (WHERE fleetsift_admitted AND NOT fleetsift_labelled AND fleetsift_session)
FROM judged
"""
_ROWS = """
SELECT frame_id, session_id, uri, fleetsift_labelled AS labelled,
    fleetsift_admitted AND NOT fleetsift_session AND NOT fleetsift_labelled AS candidate{columns}
FROM judged
WHERE fleetsift_labelled OR fleetsift_given OR fleetsift_admitted AND NOT fleetsift_session
ORDER BY frame_id
"""
_ONE = "SELECT fleetsift_admitted, fleetsift_labelled, fleetsift_session{columns} FROM judged WHERE frame_id = $5"


@dataclass(frozen=True, slots=True)
class _Needs:
    """Which columns a specification takes from the store."""

    scores: dict[str, str]  # expression -> the field that asks for it
    keys: dict[str, str]  # expression -> the field that asks for it
    class_scores: str | None
    areas: tuple[str, ...]
    embedding: bool
    given: dict[str, tuple[frozenset[str], frozenset[str]]]  # objective or guard -> its frame_ids, its session_ids
    captured: bool

    def columns(self) -> str:
        """The end of a SELECT list. An expression that fails on a frame gives NULL there, and the frame is counted."""
        parts = [f"CAST(TRY(({text}\n)) AS DOUBLE) AS score_{i}" for i, text in enumerate(self.scores)]
        parts += [f"CAST(TRY(({text}\n)) AS VARCHAR) AS key_{i}" for i, text in enumerate(self.keys)]
        parts += [f"({self.class_scores}\n) AS class_scores"] if self.class_scores else []
        parts += [f"({text}\n) AS areas_{i}" for i, text in enumerate(self.areas)]
        parts += ["embedding"] if self.embedding else []
        parts += ["epoch_us(captured_at) AS captured_us"] if self.captured else []
        return "".join(f",\n    {part}" for part in parts)


def read_pool(store: ScoredFrames, spec: SelectionSpec) -> Pool:
    """Read the candidates of a selection: admitted by its filter, not labelled, of no session that is left out.

    A candidate whose score is NULL or not finite, or that lacks an embedding or captured_at where one is needed, is
    left out and counted. Labelled frames come with their embeddings, wherever the filter stands.
    Raises SelectionError for an expression that is refused or has no number, and where no candidate is left.
    """
    needs = _needs(spec)
    _check(store, spec, needs)
    judged, bound = _judge(spec, needs)
    with query_errors():
        rows = store.sql(judged + _ROWS.format(columns=needs.columns()), bound).to_arrow_table()
        unwanted, taken, of_session = store.sql(judged + _COUNTS, bound).fetchall()[0]
    left_out = {"where": unwanted, "labelled": taken, "session left out": of_session}
    return _pool(store, rows, needs, spec, left_out)


def reason_left_out(store: ScoredFrames, spec: SelectionSpec, frame_id: str) -> str | None:
    """The first reason for which a frame of the store is no candidate, by the name under which it is counted.

    Raises SelectionError as `read_pool` does, and where the store has no scored frame of this name.
    """
    needs = _needs(spec)
    _check(store, spec, needs)
    judged, bound = _judge(spec, needs)
    with query_errors():
        found = store.sql(judged + _ONE.format(columns=needs.columns()), [*bound, frame_id]).to_arrow_table()
    if not len(found):
        raise SelectionError(f"{frame_id!r}: expected a scored frame of the store, got none; look at the view rows")
    (row,) = found.to_pylist()
    named = {f"no finite {text}": row[f"score_{i}"] for i, text in enumerate(needs.scores)}
    class_scores = _class_scores(store, found, spec)
    named |= {f"no finite {needs.class_scores}.{name}": float(values[0]) for name, values in class_scores.items()}
    for i, text in enumerate(needs.areas):
        areas = _numbers_of(found.column(f"areas_{i}"))
        named |= {f"no finite {text}.{name}": float(values[0]) for name, values in areas.items()}
    reasons = {
        "where": not row["fleetsift_admitted"],
        "labelled": row["fleetsift_labelled"],
        "session left out": row["fleetsift_session"],
        **{reason: value is None or not np.isfinite(value) for reason, value in named.items()},
        "no captured_at": needs.captured and row["captured_us"] is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _judge(spec: SelectionSpec, needs: _Needs) -> tuple[str, list[list[str]]]:
    """The beginning of a query over every frame with what the specification says of it, and the values to bind."""
    labelled = read_labelled(spec.labelled.frames)
    given = [frozenset().union(*names) for names in zip(*needs.given.values(), strict=True)] or [frozenset()] * 2
    judged = _JUDGED.format(where=spec.where or "true")
    bound = [sorted(labelled), list(spec.labelled.sessions), *map(sorted, given)]
    return judged, bound


def _needs(spec: SelectionSpec) -> _Needs:
    objectives = () if spec.round_robin else spec.objectives
    guards = [constraint for constraint in spec.constraints if isinstance(constraint, Guard)]
    return _Needs(
        scores={o.expression: "selection.objectives.score" for o in objectives if isinstance(o, Score)}
        | {c.expression: "selection.constraints.threshold" for c in spec.constraints if isinstance(c, Threshold)},
        keys={o.key: "selection.objectives.key" for o in objectives if isinstance(o, Balance)}
        | {c.key: "selection.constraints.key" for c in spec.constraints if isinstance(c, Cap | Gap | Quota)},
        class_scores=spec.round_robin.score if spec.round_robin else None,
        areas=tuple(o.areas for o in objectives if isinstance(o, AreaBalance)),
        embedding=any(isinstance(o, Diversity | Similarity | Typicality) for o in objectives) or bool(guards),
        given={o.name: (read_labelled(o.frames), frozenset()) for o in objectives if isinstance(o, Similarity)}
        | {guard.name: (read_labelled(guard.frames), frozenset(guard.sessions)) for guard in guards},
        captured=any(isinstance(constraint, Gap) for constraint in spec.constraints),
    )


def _check(store: ScoredFrames, spec: SelectionSpec, needs: _Needs) -> None:
    """Refuse every expression that is hostile, or has a value of the wrong kind."""
    expected: list[tuple[str, str, Collection[str], str]] = [
        *((field, text, NUMBERS, "a number") for text, field in needs.scores.items()),
        *([("selection.where", spec.where, {"boolean"}, "true or false")] if spec.where else []),
        *(("selection.objectives.areas", text, {"struct"}, "a struct") for text in needs.areas),
        *([("selection.round_robin.score", needs.class_scores, {"struct"}, "a struct")] if needs.class_scores else []),
    ]
    for field, text, kinds, wanted in expected:
        kind = check_expression(store, field, text)
        if kind not in kinds:
            raise SelectionError(f"{field}: expected {wanted}, got {kind} from {text!r}; name another expression")
    for text, field in needs.keys.items():
        check_expression(store, field, text)


def _pool(store: ScoredFrames, rows: Any, needs: _Needs, spec: SelectionSpec, left_out: dict[str, int]) -> Pool:
    """Sift the candidates from the rows; adds to `left_out`, by the first reason that keeps a frame out."""
    labelled = flags(rows.column("labelled"))
    scores = {text: numbers(rows.column(f"score_{i}")) for i, text in enumerate(needs.scores)}
    class_scores = _class_scores(store, rows, spec)
    candidate = flags(rows.column("candidate"))
    areas = {text: _numbers_of(rows.column(f"areas_{i}")) for i, text in enumerate(needs.areas)}
    named = scores | {f"{needs.class_scores}.{name}": values for name, values in class_scores.items()}
    named |= {f"{text}.{name}": values for text, columns in areas.items() for name, values in columns.items()}
    for name, values in named.items():
        candidate = _require(candidate, np.isfinite(values), f"no finite {name}", left_out)
    if needs.captured:
        candidate = _require(candidate, flags(rows.column("captured_us").is_valid()), "no captured_at", left_out)
    centres: dict[str, Any] = {}
    if needs.embedding:
        embedding, measurable = vectors(rows.column("embedding"))
        candidate = _require(candidate, measurable, "no embedding", left_out)
        known = labelled & measurable
        centres["labelled_id"] = texts(rows.column("frame_id").filter(pa.array(known)))
        centres["labelled_embedding"] = embedding[known]
        centres["embedding"] = embedding[candidate]
        centres["given"] = {
            name: embedding[_places(rows, measurable, name, *names)] for name, names in needs.given.items()
        }
    left_out = {reason: count for reason, count in left_out.items() if count}
    if not candidate.any():
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.items()) or "the store has no scored frame"
        raise SelectionError(
            f"selection: expected candidates, got none ({why}); widen the filter, or score more frames"
        )
    rows = rows.filter(pa.array(candidate))
    return Pool(
        ensemble_id=store.ensemble_id,
        frame_id=texts(rows.column("frame_id")),
        session_id=texts(rows.column("session_id")),
        uri=texts(rows.column("uri")),
        scores={text: values[candidate] for text, values in scores.items()},
        keys={text: key(rows.column(f"key_{i}")) for i, text in enumerate(needs.keys)},
        captured_us=moments(rows.column("captured_us")) if needs.captured else None,
        class_scores={name: values[candidate] for name, values in class_scores.items()},
        areas={text: {name: values[candidate] for name, values in columns.items()} for text, columns in areas.items()},
        left_out=left_out,
        **centres,
    )


def _require(candidate: Flags, has: Flags, reason: str, left_out: dict[str, int]) -> Flags:
    """The candidates that have something; the others are counted under a reason."""
    left_out[reason] = int((candidate & ~has).sum())
    return candidate & has


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


def _numbers_of(column: Any) -> dict[str, F64]:
    """Every field of a struct column as numbers, (N,) each."""
    names = [column.type.field(i).name for i in range(column.type.num_fields)]
    return {name: numbers(pc.struct_field(column, name)) for name in names}
