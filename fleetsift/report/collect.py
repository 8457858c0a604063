"""From a store and a selection to the facts of its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from fleetsift.errors import FrameError, SelectionError
from fleetsift.report.areas import class_areas
from fleetsift.report.balances import balance
from fleetsift.report.caps import cap_facts
from fleetsift.report.comparison import comparison
from fleetsift.report.embedding_map import embedding_map
from fleetsift.report.facts import Balance, Drawing, Histogram, ReportFacts
from fleetsift.report.gains import distance_gain, score_gains
from fleetsift.report.histograms import histogram
from fleetsift.report.pictures import Picture, Sketch, common_scale, draw, sketch
from fleetsift.report.pool import Pool
from fleetsift.report.receipts import SCORES, instant, pick_facts
from fleetsift.report.rules import rule_facts
from fleetsift.schemas.selection import AreaBalance, Cap, Pick, Score, Selection, SelectionSpec, Target
from fleetsift.schemas.selection import Balance as BalanceSpec
from fleetsift.selectors.pools.expressions import check_unit
from fleetsift.store.views import ScoreStore

MOST_PICTURES = 300  # cards on a page: some eight megabytes
IDENTITY = ("session_id", "vehicle_id", "camera")

T = TypeVar("T")
Camera = Callable[[str], Picture]


@dataclass(frozen=True, slots=True)
class Other:
    """Another batch of the same store, to compare with."""

    name: str
    selection: Selection


def collect(
    store: ScoreStore,
    selection: Selection,
    picture: Camera,
    other: Other | None = None,
) -> ReportFacts:
    """Everything the report of a batch shows.

    `picture` gives a frame and its map of mutual information for a URI, or raises FrameError: the page then says why
    there is no picture.
    Raises SelectionError where batch and store do not belong together, QueryError where the selection's SQL fails.
    """
    check_unit(store, selection.spec)
    for side in (selection, other.selection) if other else (selection,):
        if side.ensemble_id != store.ensemble_id:
            raise SelectionError(
                f"selection.ensemble_id: expected {store.ensemble_id} as in {store.path}, got {side.ensemble_id}; "
                "scores of different ensembles do not compare, select again"
            )
    pool = Pool.of(store, selection, other.selection if other else None)
    members, first_us, last_us = pool.ask_one(
        "SELECT max(members), min(epoch_us(captured_at)), max(epoch_us(captured_at)) FROM pool"
    )
    shown = selection.picks[:MOST_PICTURES]
    drawings, heat_scale = _draw_all(shown, picture)
    spec = selection.spec
    objectives = [objective.expression for objective in spec.objectives if isinstance(objective, Score)]
    balanced = {o.key: o.target for o in spec.objectives if isinstance(o, BalanceSpec)}
    measures, balances = _metadata(pool, balanced)
    return ReportFacts(
        title=f"{len(selection.picks):,} of {selection.pool_size:,} {spec.unit}s",
        unit=spec.unit,
        made_at=datetime.now(UTC),
        ensemble_id=selection.ensemble_id,
        members=members or 0,
        pool_size=selection.pool_size,
        batch_size=len(selection.picks),
        budget=spec.budget,
        blocked_by=tuple(selection.blocked_by.items()),
        captured_from=instant(first_us),
        captured_to=instant(last_us),
        gains=(*score_gains(pool), *_present([distance_gain(pool)])),
        scores=_present(histogram(pool, expression) for expression in dict.fromkeys((*SCORES, *objectives))),
        balances=(*_present(balance(pool, key, balanced.get(key)) for key in _keys(spec)), *balances),
        measures=measures,
        areas=_present(class_areas(pool, column, target) for column, target in _areas(spec).items()),
        embedding_map=embedding_map(pool),
        caps=tuple(cap_facts(pool, cap) for cap in spec.constraints if isinstance(cap, Cap)),
        rules=_present(rule_facts(pool, rule) for rule in spec.constraints),
        owed=tuple((name, lacks) for name, lacks in selection.owed.items() if lacks),
        picks=pick_facts(pool, shown, drawings),
        heat_scale=heat_scale,
        specification=msgspec.json.format(msgspec.json.encode(spec), indent=2).decode(),
        snapshot=tuple(
            (topic, partition, end)
            for topic, ends in sorted(store.snapshot().items())
            for partition, end in sorted(ends.items(), key=lambda item: int(item[0]))
        ),
        comparison=comparison(pool, other.name) if other else None,
    )


def _keys(spec: SelectionSpec) -> list[str]:
    """What is counted by its values, beside metadata: who the frames are of, and every other balanced key."""
    balanced = [o.key for o in spec.objectives if isinstance(o, BalanceSpec) and not o.key.startswith("metadata.")]
    return list(dict.fromkeys([*balanced, *IDENTITY]))


def _areas(spec: SelectionSpec) -> dict[str, Target | None]:
    """The struct columns of areas, and what an objective wants of them."""
    shown: dict[str, Target | None] = {"area" if spec.unit == "frame" else "argmax": None}
    return shown | {o.areas: o.target for o in spec.objectives if isinstance(o, AreaBalance)}


def _metadata(pool: Pool, balanced: Mapping[str, Target]) -> tuple[tuple[Histogram, ...], tuple[Balance, ...]]:
    """Every declared key: numbers as histograms, everything else, and what is balanced, by its values."""
    kinds = pool.metadata()
    numbers = {key: kind == "BIGINT" for key, kind in kinds.items() if kind in ("BIGINT", "DOUBLE")}
    measures = _present(histogram(pool, key, whole=whole) for key, whole in numbers.items())
    named = [key for key in balanced if key.startswith("metadata.")]
    counted = dict.fromkeys([*named, *(key for key in kinds if key not in numbers)])
    return measures, _present(balance(pool, key, balanced.get(key)) for key in counted)


def _draw_all(picks: Sequence[Pick], picture: Camera) -> tuple[list[Drawing | str], float | None]:
    """Each pick's drawing, or why it has none, and the scale that all heat maps share."""
    sketches = [_sketch(pick.uri, picture) for pick in picks]
    seen = [found for found in sketches if isinstance(found, Sketch)]
    if not seen:
        return [found for found in sketches if isinstance(found, str)], None
    scale = common_scale(seen)
    return [draw(found, scale) if isinstance(found, Sketch) else found for found in sketches], scale


def _sketch(uri: str, picture: Camera) -> Sketch | str:
    try:
        return sketch(picture(uri))
    except FrameError as error:
        return f"{error.status}: {error.reason}"


def _present(values: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)
