"""From a store and a selection to the facts of its report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from fleetsift.errors import FrameError, SelectionError
from fleetsift.report.balances import balance
from fleetsift.report.caps import cap_facts
from fleetsift.report.facts import Balance, Drawing, Histogram, ReportFacts
from fleetsift.report.gains import distance_gain, score_gains
from fleetsift.report.histograms import histogram
from fleetsift.report.pictures import Picture, Sketch, common_scale, draw, sketch
from fleetsift.report.pool import Pool
from fleetsift.report.receipts import SCORES, instant, pick_facts
from fleetsift.schemas.selection import Cap, Pick, Score, Selection
from fleetsift.store.views import ScoreStore

MOST_PICTURES = 300  # cards on a page: some eight megabytes
IDENTITY = ("session_id", "vehicle_id", "camera")

T = TypeVar("T")
Camera = Callable[[str], Picture]


def collect(store: ScoreStore, selection: Selection, picture: Camera, labelled: Collection[str] = ()) -> ReportFacts:
    """Everything the report of a batch shows.

    `picture` gives a frame and its map of mutual information for a URI, or raises FrameError: the page then says why
    there is no picture. `labelled` are the frame_ids that the selection left out of its pool.
    Raises SelectionError where batch and store do not belong together, QueryError where the selection's SQL fails.
    """
    if selection.ensemble_id != store.ensemble_id:
        raise SelectionError(
            f"selection.ensemble_id: expected {store.ensemble_id} as in {store.path}, got {selection.ensemble_id}; "
            "scores of different ensembles do not compare, select again"
        )
    pool = Pool(store, selection, labelled)
    members, first_us, last_us = pool.ask_one(
        "SELECT max(members), min(epoch_us(captured_at)), max(epoch_us(captured_at)) FROM pool"
    )
    shown = selection.picks[:MOST_PICTURES]
    drawings, heat_scale = _draw_all(shown, picture)
    spec = selection.spec
    objectives = [objective.expression for objective in spec.objectives if isinstance(objective, Score)]
    measures, balances = _metadata(pool)
    return ReportFacts(
        title=f"{len(selection.picks):,} of {selection.pool_size:,} frames",
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
        balances=(*_present(balance(pool, key) for key in IDENTITY), *balances),
        measures=measures,
        caps=tuple(cap_facts(pool, cap) for cap in spec.constraints if isinstance(cap, Cap)),
        picks=pick_facts(pool, shown, drawings),
        heat_scale=heat_scale,
        specification=msgspec.json.format(msgspec.json.encode(spec), indent=2).decode(),
        snapshot=tuple(
            (topic, partition, end)
            for topic, ends in sorted(store.snapshot().items())
            for partition, end in sorted(ends.items(), key=lambda item: int(item[0]))
        ),
    )


def _metadata(pool: Pool) -> tuple[tuple[Histogram, ...], tuple[Balance, ...]]:
    """Every declared key: numbers as histograms, everything else by its values."""
    kinds = pool.metadata()
    numbers = {key: kind == "BIGINT" for key, kind in kinds.items() if kind in ("BIGINT", "DOUBLE")}
    measures = _present(histogram(pool, key, whole=whole) for key, whole in numbers.items())
    return measures, _present(balance(pool, key) for key in kinds if key not in numbers)


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
