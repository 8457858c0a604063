"""How the values of a key are represented, before and after, and how they were to be."""

from __future__ import annotations

from collections.abc import Sequence

from fleetsift.report.facts import Balance, BalanceRow
from fleetsift.report.pool import Pool
from fleetsift.schemas.selection import Target

MOST_ROWS = 10  # the pool's most common values; the others are summed up

_COUNT = """
SELECT
    value, frames, picks, theirs,
    sum(frames) OVER (), sum(picks) OVER (), sum(theirs) OVER (),
    count(value) OVER (), count(CASE WHEN picks > 0 THEN value END) OVER ()
FROM (
    SELECT x::VARCHAR AS value, count(*) AS frames,
        count(*) FILTER (WHERE picked) AS picks, count(*) FILTER (WHERE picked_by_other) AS theirs
    FROM pool GROUP BY value
)
ORDER BY frames DESC, value
LIMIT $5
"""
_POOLS_OWN = """
SELECT * FROM (SELECT x::VARCHAR AS value, count(*) / sum(count(*)) OVER () FROM pool WHERE x IS NOT NULL GROUP BY 1)
WHERE value IN (SELECT unnest($5::VARCHAR[]))
"""
_HELD = "SELECT DISTINCT x::VARCHAR FROM pool WHERE x::VARCHAR IN (SELECT unnest($5::VARCHAR[]))"


def balance(pool: Pool, key: str, target: Target | None = None) -> Balance | None:
    """Count the frames of each value of a key, or None where no frame of the pool has one.

    target: what an objective wants of the key, if one does.
    """
    rows = pool.ask(_COUNT, MOST_ROWS, x=key)
    if all(value is None for value, *_ in rows):
        return None
    pool_size, batch_size, other_size, pool_values, batch_values = map(int, rows[0][4:])
    shown_values = [value for value, *_ in rows]
    wanted = _wanted(pool, key, target, shown_values, pool_values) if target is not None else None

    def row(frames: int, picked: int, theirs: int, wanted_share: float | None) -> BalanceRow:
        return BalanceRow(
            frames,
            picked,
            frames / pool_size,
            picked / batch_size if batch_size else 0.0,
            theirs,
            None if pool.other is None else theirs / max(other_size, 1),
            wanted_share,
        )

    shown = tuple(
        (value, row(frames, picked, theirs, None if wanted is None else wanted.get(value, 0.0)))
        for value, frames, picked, theirs, *_ in rows
    )
    other_frames = pool_size - sum(shares.pool for _, shares in shown)
    other_picked = batch_size - sum(shares.batch for _, shares in shown)
    other_theirs = other_size - sum(shares.other for _, shares in shown)
    other_wanted = None if wanted is None else max(0.0, 1 - sum(wanted.values()))
    rest = row(other_frames, other_picked, other_theirs, other_wanted) if other_frames else None
    return Balance(key, shown, rest, pool_values, batch_values, describe_target(target))


def describe_target(target: Target | None) -> str | None:
    """What a target wants, in words."""
    if target is None:
        return None
    return {"uniform": "as much of every value", "pool": "the pool's own shares"}.get(str(target), "given shares")


def _wanted(pool: Pool, key: str, target: Target, shown: Sequence[str | None], values: int) -> dict[str | None, float]:
    """The wanted share of each shown value; a NULL serves no share."""
    if target == "uniform":
        return {value: 1 / values for value in shown if value is not None}
    if target == "pool":
        return dict(pool.ask(_POOLS_OWN, list(shown), x=key))
    held = pool.ask(_HELD, list(target), x=key)
    total = sum(target[value] for (value,) in held) or 1.0
    return {value: target.get(value, 0.0) / total for value in shown if value is not None}
