"""From a store and a selection to the facts of its report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fleetsift.errors import SelectionError
from fleetsift.report.areas import class_areas
from fleetsift.report.balances import balance
from fleetsift.report.caps import cap_facts
from fleetsift.report.comparison import comparison
from fleetsift.report.embedding_map import embedding_map
from fleetsift.report.facts import Balance, Histogram, Origin, ReportFacts
from fleetsift.report.gains import distance_gain, score_gains
from fleetsift.report.headline import headline
from fleetsift.report.histograms import histogram
from fleetsift.report.pictures import Camera, draw_all
from fleetsift.report.pool import Pool
from fleetsift.report.receipts import pick_facts, scores_shown
from fleetsift.report.rules import rule_facts
from fleetsift.schemas.selection import AreaBalance, Cap, Score, Selection, SelectionSpec, Target
from fleetsift.schemas.selection import Balance as BalanceSpec
from fleetsift.selectors.pools.expressions import check_unit
from fleetsift.store.views import ScoreStore

MOST_PICTURES = 300  # cards on a page: some eight megabytes
IDENTITY = ("session_id", "vehicle_id", "camera")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Other:
    """Another batch of the same store, to compare with."""

    name: str
    selection: Selection


def collect(
    store: ScoreStore,
    selection: Selection,
    camera: Camera,
    other: Other | None = None,
    most_pictures: int = MOST_PICTURES,
) -> ReportFacts:
    """Everything the report of a batch shows.

    `camera` gives a frame and its heat map for a URI, or raises FrameError: the page then says why
    there is no picture.
    Raises SelectionError where batch and store do not belong together, QueryError where the selection's SQL fails.
    """
    check_unit(store, selection.spec)
    for side in (selection, other.selection) if other else (selection,):
        _expect_scored_by(store, side)
    pool = Pool.of(store, selection, other.selection if other else None)
    spec, shown = selection.spec, selection.picks[:most_pictures]
    drawings, heat_scale = draw_all((pick.uri for pick in shown), camera)
    measures, balances = _makeup(pool)
    return ReportFacts(
        headline=headline(pool),
        gains=(*score_gains(pool), *_present([distance_gain(pool)])),
        scores=_present(histogram(pool, expression) for expression in _scores(pool)),
        balances=balances,
        measures=measures,
        areas=_present(class_areas(pool, column, target) for column, target in _areas(spec).items()),
        embedding_map=embedding_map(pool),
        caps=tuple(cap_facts(pool, cap) for cap in spec.constraints if isinstance(cap, Cap)),
        rules=_present(rule_facts(pool, rule) for rule in spec.constraints),
        picks=pick_facts(pool, shown, drawings),
        heat_scale=heat_scale,
        origin=_origin(pool),
        comparison=comparison(pool, other.name) if other else None,
    )


def _expect_scored_by(store: ScoreStore, selection: Selection) -> None:
    if selection.ensemble_id != store.ensemble_id:
        raise SelectionError(
            f"selection.ensemble_id: expected {store.ensemble_id} as in {store.path}, got {selection.ensemble_id}; "
            "scores of different ensembles do not compare, select again"
        )


def _scores(pool: Pool) -> list[str]:
    """What is shown of every frame, and what the objectives ask beside it."""
    asked = (o.expression for o in pool.selection.spec.objectives if isinstance(o, Score))
    return list(dict.fromkeys((*scores_shown(pool.quantity()), *asked)))


def _makeup(pool: Pool) -> tuple[tuple[Histogram, ...], tuple[Balance, ...]]:
    """What pool and batch are made of: numeric metadata as histograms, everything else by its values.

    Whose frames they are, every declared key, and every key that an objective balances.
    """
    balanced = {o.key: o.target for o in pool.selection.spec.objectives if isinstance(o, BalanceSpec)}
    kinds = pool.metadata()
    numbers = {key: kind == "BIGINT" for key, kind in kinds.items() if kind in ("BIGINT", "DOUBLE")}
    declared = [key for key in kinds if key not in numbers]
    of_frames, of_metadata = (
        [key for key in balanced if key.startswith("metadata.") is side] for side in (False, True)
    )
    counted = dict.fromkeys([*of_frames, *IDENTITY, *of_metadata, *declared])
    measures = _present(histogram(pool, key, whole=whole) for key, whole in numbers.items())
    return measures, _present(balance(pool, key, balanced.get(key)) for key in counted)


def _areas(spec: SelectionSpec) -> dict[str, Target | None]:
    """The struct columns of areas, and what an objective wants of them."""
    shown: dict[str, Target | None] = {"area" if spec.unit == "frame" else "argmax": None}
    return shown | {o.areas: o.target for o in spec.objectives if isinstance(o, AreaBalance)}


def _origin(pool: Pool) -> Origin:
    """What the batch follows from."""
    specification = msgspec.json.format(msgspec.json.encode(pool.selection.spec), indent=2).decode()
    ends = (
        (topic, partition, end)
        for topic, ends in sorted(pool.store.snapshot().items())
        for partition, end in sorted(ends.items(), key=lambda item: int(item[0]))
    )
    return Origin(specification, tuple(ends))


def _present(values: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)
