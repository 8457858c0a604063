"""New rows of a store as arrivals, in an order that the store can give again.

They come from the view `rows`, whose rows never change; a frame that was sent twice comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Constraint,
    Diversity,
    Gap,
    Guard,
    Objective,
    Quota,
    Random,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
)
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.objectives.diversity import nearest_squared
from fleetsift.selectors.objectives.draws import draw
from fleetsift.selectors.objectives.powers import raise_to
from fleetsift.selectors.objectives.similarity import MEASURES
from fleetsift.selectors.online.policy import Arrival, Pace, Policy
from fleetsift.selectors.pools.columns import numbers
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.selectors.pools.needs import check_needs, needs_of
from fleetsift.selectors.pools.pool import F32, F64, Flags
from fleetsift.selectors.pools.vectors import vectors
from fleetsift.store.as_of import split_topic
from fleetsift.store.views import ScoreStore, query_errors

Read = Mapping[str, Mapping[str, tuple[int, int]]]  # topic@id -> partition -> the offsets [from, to) of its new rows

ROWS_AT_ONCE = 16_384

_NEW = """
SELECT frame_id, session_id, uri, epoch_us(captured_at) AS at_us{columns}
FROM rows
WHERE status = 'ok' AND ensemble = $8 AND captured_at IS NOT NULL AND ({where}
    )
    AND frame_id NOT IN (SELECT unnest($1::VARCHAR[])) AND NOT list_contains($2::VARCHAR[], session_id)
    AND EXISTS (
        SELECT 1 FROM (SELECT unnest($3::VARCHAR[]) AS t, unnest($4::VARCHAR[]) AS id, unnest($5::INT[]) AS p,
            unnest($6::BIGINT[]) AS a, unnest($7::BIGINT[]) AS b) AS new
        WHERE topic = new.t AND topic_id = new.id AND "partition" = new.p AND "offset" >= new.a AND "offset" < new.b
    )
ORDER BY at_us, frame_id
"""
_GIVEN = "SELECT embedding FROM frames WHERE frame_id IN (SELECT unnest($1::VARCHAR[])) AND embedding IS NOT NULL"


def policy_of(spec: SelectionSpec, pace: Pace) -> Policy:
    """The policy of a specification; raises SelectionError for what cannot be decided one frame at a time."""
    refused = [
        f"{name}: {reason}"
        for named in (*spec.objectives, *spec.constraints)
        for name, reason in [(named.name, _why_not(named))]
        if reason
    ]
    refused += ["round_robin: turns wait for frames to come; name a score"] if spec.round_robin else []
    refused += [f"unit {spec.unit}: frames arrive whole; name unit: frame"] if spec.unit != "frame" else []
    if refused:
        raise SelectionError(
            f"selection: expected what a frame can be judged by as it arrives, got {'; '.join(refused)} "
            "(in another --spec), or select offline"
        )
    rules = tuple(entry for entry in spec.constraints if isinstance(entry, Cap | Gap))
    balances = tuple(entry for entry in spec.objectives if isinstance(entry, Balance))
    diversity = next((entry for entry in spec.objectives if isinstance(entry, Diversity)), None)
    return Policy(pace, rules, diversity.strength if diversity else None, balances)


def _why_not(entry: Objective | Constraint) -> str:
    """Why no frame can be judged by an entry at once, and what could stand in its place; nothing where one can."""
    match entry:
        case Typicality():
            return "what is dense shows when all have come; leave it out"
        case AreaBalance():
            return "areas are not counted online; balance a key of the frame, or score by area"
        case Balance() if entry.target == "pool":
            return "the pool's shares show when all have come; give weights"
        case Quota():
            return "nobody knows who will still come to pay it; cap the other values"
        case Guard() if entry.sessions:
            return "a session may still grow; name its frames in a file"
        case _:
            return ""


def read_given(store: ScoreStore, spec: SelectionSpec) -> dict[str, F32]:
    """The embeddings of the frames that similarities and guards name, (K, D) by the entry's name.

    Raises SelectionError where one of them is not in the store with an embedding.
    """
    given: dict[str, F32] = {}
    for name, (frame_ids, _) in needs_of(spec).given.items():
        with query_errors():
            found = store.sql(_GIVEN, [sorted(frame_ids)]).to_arrow_table()
        if len(found) < len(frame_ids) or not frame_ids:
            raise SelectionError(
                f"selection {name}: expected frames of the store that have embeddings, {len(found)} of "
                f"{len(frame_ids)} are; score them first, or leave them out"
            )
        given[name], _ = vectors(found.column("embedding"))
    return given


def new_since(store: ScoreStore, seen: Mapping[str, Mapping[str, int]]) -> Read:
    """What a store has beyond the offsets that were seen."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for topic, ends in sorted(store.snapshot().items()):
        for partition, end in sorted(ends.items()):
            start = seen.get(topic, {}).get(partition, 0)
            if end > start:
                found.setdefault(topic, {})[partition] = (start, end)
    return found


def arrivals(store: ScoreStore, spec: SelectionSpec, read: Read, given: Mapping[str, F32]) -> Iterator[Arrival]:
    """The candidates among some rows, by the time they were captured; those that lack a number are passed over.

    Raises SelectionError for an expression that is refused or a score below 0, QueryError for what fails in SQL.
    """
    needs = needs_of(spec)
    check_needs(store, spec, needs)
    places = [
        (*split_topic(topic), int(partition), *span)
        for topic, spans in read.items()
        for partition, span in spans.items()
    ]
    taken = read_labelled(spec.labelled.frames) | read_labelled(spec.exclude, "selection.exclude")
    columns = [list(column) for column in zip(*places, strict=True)] or [[]] * 5
    bound = [
        sorted(taken.union(read_rounds(spec.continues))),
        list(spec.labelled.sessions),
        *columns,
        store.ensemble_id,
    ]
    query = _NEW.format(where=spec.where or "true", columns=needs.columns())
    keys = list(needs.keys)
    with query_errors():
        for batch in store.sql(query, bound).to_arrow_reader(ROWS_AT_ONCE):
            yield from _candidates(spec, batch, keys, list(needs.scores), given)


def _candidates(
    spec: SelectionSpec, batch: object, keys: list[str], scores: list[str], given: Mapping[str, F32]
) -> Iterator[Arrival]:
    """The rows of a batch that may be picked."""
    table = pa.Table.from_batches([batch])
    if not len(table):
        return
    values = {text: numbers(table.column(f"score_{i}")) for i, text in enumerate(scores)}
    embedding, whole = vectors(table.column("embedding")) if "embedding" in table.column_names else (None, True)
    fit = np.all([np.isfinite(column) for column in values.values()], axis=0) if values else np.ones(len(table), bool)
    worth = _worth(spec, table, values, fit, embedding, given)
    fit = fit & whole & _kept(spec, values, embedding, given) & np.isfinite(worth)
    of_rules, of_balances = (
        [table.column(f"key_{keys.index(text)}").to_pylist() for text in texts]
        for texts in (
            [rule.key for rule in spec.constraints if isinstance(rule, Cap | Gap)],
            [objective.key for objective in spec.objectives if isinstance(objective, Balance)],
        )
    )
    names, sessions, uris, moments = (
        table.column(name).to_pylist() for name in ("frame_id", "session_id", "uri", "at_us")
    )
    for row in np.flatnonzero(fit):
        yield Arrival(
            names[row],
            sessions[row],
            uris[row],
            moments[row],
            float(worth[row]),
            tuple(column[row] for column in of_rules),
            None if embedding is None else embedding[row],
            tuple(column[row] for column in of_balances),
        )


def _worth(
    spec: SelectionSpec,
    table: Any,
    values: Mapping[str, F64],
    fit: Flags,
    embedding: F32 | None,
    given: Mapping[str, F32],
) -> F64:
    """The product of what the objectives say of each row whatever was picked; raises SelectionError where negative."""
    worth = np.ones(len(table))
    for objective in spec.objectives:
        if isinstance(objective, Score):
            score = values[objective.expression]
            if (score[fit] < 0).any():
                raise SelectionError(
                    f"selection.objectives.score {objective.expression!r}: expected 0 or more, got less"
                )
            worth = worth * raise_to(score, objective.strength)
        elif isinstance(objective, Random):
            worth = worth * raise_to(draw(table.column("frame_id").combine_chunks(), spec.seed), objective.strength)
        elif isinstance(objective, Similarity) and embedding is not None:
            worth = worth * raise_to(MEASURES[objective.measure](embedding, given[objective.name]), objective.strength)
    return worth


def _kept(
    spec: SelectionSpec, values: Mapping[str, F64], embedding: F32 | None, given: Mapping[str, F32]
) -> Flags | bool:
    """Which rows thresholds and guards let through."""
    kept: Flags | bool = True
    for rule in spec.constraints:
        if isinstance(rule, Threshold):
            least = -np.inf if rule.least is None else rule.least
            most = np.inf if rule.most is None else rule.most
            kept = kept & (values[rule.expression] >= least) & (values[rule.expression] <= most)
        elif isinstance(rule, Guard) and embedding is not None:
            kept = kept & (np.sqrt(nearest_squared(embedding, given[rule.name])) >= rule.least)
    return kept
