"""What a batch is, at a glance: how many of how many, scored by whom, captured when, going on from what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fleetsift.report.facts import Earlier, Headline
from fleetsift.report.pool import Pool
from fleetsift.report.receipts import instant
from fleetsift.schemas.scores import ranking_quantity
from fleetsift.schemas.selection import Selection

_SCORED = "SELECT max(members), min(epoch_us(captured_at)), max(epoch_us(captured_at)) FROM pool"


def headline(pool: Pool) -> Headline:
    """The facts at the head of the report."""
    selection, spec = pool.selection, pool.selection.spec
    members, first_us, last_us = pool.ask_one(_SCORED)
    return Headline(
        title=f"{len(selection.picks):,} of {selection.pool_size:,} {spec.unit}s",
        unit=spec.unit,
        made_at=datetime.now(UTC),
        ensemble_id=selection.ensemble_id,
        members=members or 0,
        quantity=ranking_quantity(members or 0),
        pool_size=selection.pool_size,
        batch_size=len(selection.picks),
        budget=spec.budget,
        blocked_by=_blocked_by(selection),
        owed=tuple((name, lacks) for name, lacks in selection.owed.items() if lacks),
        captured_from=instant(first_us),
        captured_to=instant(last_us),
        earlier=_earlier(pool),
    )


def _blocked_by(selection: Selection) -> tuple[tuple[tuple[str, ...], int], ...]:
    known = {rule.name for rule in selection.spec.constraints}
    ordered = sorted(selection.blocked_by.items(), key=lambda item: (-item[1], item[0]))
    split = ((tuple(names.split(" and ")), names, count) for names, count in ordered)
    return tuple((rules if known.issuperset(rules) else (names,), count) for rules, names, count in split)


def _earlier(pool: Pool) -> Earlier:
    spec = pool.selection.spec
    labelled = len(frozenset(pool.labelled).difference(pool.selection.earlier))
    names = tuple(Path(batch).name for batch in spec.continues)
    return Earlier(names, len(pool.selection.earlier), labelled, spec.labelled.counts_in)
