"""New rows of a store as arrivals, in an order that the store can give again.

They come from the view `rows`, whose rows never change; a frame that was sent twice comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Cap, Diversity, Gap, Random, Score, SelectionSpec, Threshold
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.objectives.draws import draw
from fleetsift.selectors.objectives.powers import raise_to
from fleetsift.selectors.online.policy import Arrival, Pace, Policy
from fleetsift.selectors.pools.columns import numbers
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.selectors.pools.needs import check_needs, needs_of
from fleetsift.selectors.pools.vectors import vectors
from fleetsift.store.views import ScoreStore, query_errors

Read = Mapping[str, Mapping[str, tuple[int, int]]]  # topic@id -> partition -> the offsets [from, to) of its new rows

ROWS_AT_ONCE = 16_384

_NEW = """
SELECT frame_id, session_id, uri, epoch_us(captured_at) AS at_us{columns}
FROM rows
WHERE status = 'ok' AND ensemble = $7 AND captured_at IS NOT NULL AND ({where}
    )
    AND frame_id NOT IN (SELECT unnest($1::VARCHAR[])) AND NOT list_contains($2::VARCHAR[], session_id)
    AND EXISTS (
        SELECT 1 FROM (SELECT unnest($3::VARCHAR[]) AS t, unnest($4::INT[]) AS p, unnest($5::BIGINT[]) AS a,
            unnest($6::BIGINT[]) AS b) AS new
        WHERE topic = new.t AND "partition" = new.p AND "offset" >= new.a AND "offset" < new.b
    )
ORDER BY at_us, frame_id
"""


def policy_of(spec: SelectionSpec, pace: Pace) -> Policy:
    """The policy of a specification; raises SelectionError for what cannot be decided one frame at a time."""
    refused = [entry.name for entry in spec.objectives if not isinstance(entry, Score | Diversity | Random)]
    refused += [entry.name for entry in spec.constraints if not isinstance(entry, Cap | Gap | Threshold)]
    refused += ["round_robin"] if spec.round_robin else []
    refused += [f"unit {spec.unit}"] if spec.unit != "frame" else []
    if refused:
        raise SelectionError(
            f"selection: expected score, diversity, random, cap, gap and threshold, got {', '.join(refused)}, which a "
            "frame alone cannot be judged by; name another --spec, or select offline"
        )
    rules = tuple(entry for entry in spec.constraints if isinstance(entry, Cap | Gap))
    diversity = next((entry for entry in spec.objectives if isinstance(entry, Diversity)), None)
    return Policy(pace, rules, diversity.strength if diversity else None)


def new_since(store: ScoreStore, seen: Mapping[str, Mapping[str, int]]) -> Read:
    """What a store has beyond the offsets that were seen."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for topic, ends in sorted(store.snapshot().items()):
        for partition, end in sorted(ends.items()):
            start = seen.get(topic, {}).get(partition, 0)
            if end > start:
                found.setdefault(topic, {})[partition] = (start, end)
    return found


def arrivals(store: ScoreStore, spec: SelectionSpec, read: Read) -> Iterator[Arrival]:
    """The candidates among some rows, by the time they were captured; those that lack a number are passed over.

    Raises SelectionError for an expression that is refused or a score below 0, QueryError for what fails in SQL.
    """
    needs = needs_of(spec)
    check_needs(store, spec, needs)
    places = [
        (topic.rpartition("@")[0], int(partition), *span)
        for topic, spans in read.items()
        for partition, span in spans.items()
    ]
    taken = read_labelled(spec.labelled.frames) | read_labelled(spec.exclude, "selection.exclude")
    columns = [list(column) for column in zip(*places, strict=True)] or [[]] * 4
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
            yield from _candidates(spec, batch, keys, list(needs.scores))


def _candidates(spec: SelectionSpec, batch: object, keys: list[str], scores: list[str]) -> Iterator[Arrival]:
    table = pa.Table.from_batches([batch])
    if not len(table):
        return
    values = {text: numbers(table.column(f"score_{i}")) for i, text in enumerate(scores)}
    fit = np.all([np.isfinite(column) for column in values.values()], axis=0) if values else np.ones(len(table), bool)
    product = np.ones(len(table))
    for objective in spec.objectives:
        if isinstance(objective, Score):
            product = product * raise_to(values[objective.expression], objective.strength)
            if (values[objective.expression][fit] < 0).any():
                raise SelectionError(
                    f"selection.objectives.score {objective.expression!r}: expected 0 or more, got less"
                )
        elif isinstance(objective, Random):
            drawn = draw(table.column("frame_id").combine_chunks(), spec.seed)
            product = product * raise_to(drawn, objective.strength)
    for rule in spec.constraints:
        if isinstance(rule, Threshold):
            least = -np.inf if rule.least is None else rule.least
            most = np.inf if rule.most is None else rule.most
            fit &= (values[rule.expression] >= least) & (values[rule.expression] <= most)
    embedding = None
    if any(isinstance(objective, Diversity) for objective in spec.objectives):
        embedding, whole = vectors(table.column("embedding"))
        fit &= whole
    of_rules = [keys.index(rule.key) for rule in spec.constraints if isinstance(rule, Cap | Gap)]
    columns = [table.column(f"key_{i}").to_pylist() for i in of_rules]
    names, sessions, uris, moments = (
        table.column(name).to_pylist() for name in ("frame_id", "session_id", "uri", "at_us")
    )
    for row in np.flatnonzero(fit & np.isfinite(product)):
        yield Arrival(
            names[row],
            sessions[row],
            uris[row],
            moments[row],
            float(product[row]),
            tuple(column[row] for column in columns),
            None if embedding is None else embedding[row],
        )
