"""The picks of a batch with everything the store knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetsift.errors import SelectionError
from fleetsift.report.facts import Drawing, FrameFacts, PickFacts
from fleetsift.report.pool import Pool
from fleetsift.report.wording import name, number
from fleetsift.schemas.scores import RankingQuantity
from fleetsift.schemas.selection import Pick

_KNOWN = """
SELECT frame_id, vehicle_id, camera, epoch_us(captured_at), x, {scores}
FROM pool WHERE frame_id IN (SELECT unnest($5::VARCHAR[]))
"""
_RANKED = """
SELECT frame_id, above
FROM (SELECT frame_id, percent_rank() OVER (
    ORDER BY coalesce({quantity}.top, {quantity}.mean)
) AS above FROM pool)
WHERE frame_id IN (SELECT unnest($5::VARCHAR[]))
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scores_shown(quantity: RankingQuantity) -> tuple[str, ...]:
    """The scores that are shown of every pool: one network's mutual information is rounding, and says nothing."""
    return tuple(dict.fromkeys((f"{quantity}.mean", f"{quantity}.top", "entropy.mean")))


def pick_facts(pool: Pool, picks: Sequence[Pick], drawings: Sequence[Drawing | str]) -> tuple[PickFacts, ...]:
    """The facts of some picks, in their order; a drawing may be the reason why there is none.

    Raises SelectionError where a pick is no candidate of this store.
    """
    known = _known(pool, [pick.frame_id for pick in picks])
    ranks = {pick.frame_id: pick.rank for pick in pool.selection.picks}
    earlier = frozenset(pool.selection.earlier)

    def nearest_before(nearest: str | None) -> str | None:
        if nearest is None or nearest in ranks:
            return None
        return "picked in an earlier round" if nearest in earlier else "labelled before"

    return tuple(
        PickFacts(
            rank=pick.rank,
            frame_id=pick.frame_id,
            session_id=pick.session_id,
            uri=pick.uri,
            of_frame=known[pick.frame_id],
            value=pick.value,
            factors=tuple(pick.factors.items()),
            nearest=pick.nearest,
            nearest_rank=ranks.get(pick.nearest or ""),
            nearest_before=nearest_before(pick.nearest),
            distance=pick.distance,
            turn=pick.turn,
            rules=tuple(_rules(pick)),
            drawing=drawing if isinstance(drawing, Drawing) else None,
            no_drawing=drawing if isinstance(drawing, str) else None,
        )
        for pick, drawing in zip(picks, drawings, strict=True)
    )


def _rules(pick: Pick) -> Iterator[tuple[str, str]]:
    """What each constraint had left for a pick, as a title and words."""
    for key, left in pick.room_left.items():
        yield "Room left", f"{left:,} for this {name(key).lower()}"
    for key, apart_s in pick.apart_s.items():
        yield "In time", f"{number(apart_s)} s from the nearest earlier pick of this {name(key).lower()}"
    for rule, margin in pick.margins.items():
        yield "Margin", f"{number(margin)} to {rule}"
    for quota, left in pick.owed.items():
        yield "Pays", f"{quota}, {left:,} owed after it"


def _known(pool: Pool, frame_ids: Sequence[str]) -> dict[str, FrameFacts]:
    """What the store says of some candidates; raises SelectionError where it has not all of them."""
    quantity = pool.quantity()
    names = scores_shown(quantity)
    above: dict[str, float] = dict(pool.ask(_RANKED.format(quantity=quantity), frame_ids))
    rows = pool.ask(_KNOWN.format(scores=", ".join(names)), frame_ids, x="metadata" if pool.metadata() else "NULL")
    known = {}
    for frame_id, vehicle_id, camera, captured_us, metadata, *scores in rows:
        known[frame_id] = FrameFacts(
            vehicle_id=vehicle_id,
            camera=camera,
            captured_at=instant(captured_us),
            metadata=tuple((key, _text(value)) for key, value in (metadata or {}).items() if value is not None),
            scores=tuple((text, score) for text, score in zip(names, scores, strict=True) if score is not None),
            above=above[frame_id],
        )
    if strangers := [frame_id for frame_id in frame_ids if frame_id not in known]:
        raise SelectionError(
            f"selection.picks: expected frames of {pool.store.path}, {len(strangers)} are none, the first "
            f"{strangers[0]!r}; give the store that the batch was selected from"
        )
    return known


def instant(epoch_us: int | None) -> datetime | None:
    """Microseconds since 1970 as a UTC time; DuckDB's own would need another package."""
    return None if epoch_us is None else _EPOCH + timedelta(microseconds=epoch_us)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
