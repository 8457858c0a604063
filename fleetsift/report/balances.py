"""How the values of a key are represented, before and after."""

from __future__ import annotations

from fleetsift.report.facts import Balance, BalanceRow
from fleetsift.report.pool import Pool

MOST_ROWS = 10  # the pool's most common values; the others are summed up

_COUNT = """
SELECT
    value, frames, picks,
    sum(frames) OVER (), sum(picks) OVER (),
    count(value) OVER (), count(CASE WHEN picks > 0 THEN value END) OVER ()
FROM (SELECT x::VARCHAR AS value, count(*) AS frames, count(*) FILTER (WHERE picked) AS picks FROM pool GROUP BY value)
ORDER BY frames DESC, value
LIMIT $4
"""


def balance(pool: Pool, key: str) -> Balance | None:
    """Count the frames of each value of a key, or None where no frame of the pool has one."""
    rows = pool.ask(_COUNT, MOST_ROWS, x=key)
    if all(value is None for value, *_ in rows):
        return None
    pool_size, batch_size, pool_values, batch_values = map(int, rows[0][3:])

    def row(frames: int, picked: int) -> BalanceRow:
        return BalanceRow(frames, picked, frames / pool_size, picked / batch_size if batch_size else 0.0)

    shown = tuple((value, row(frames, picked)) for value, frames, picked, *_ in rows)
    other_frames = pool_size - sum(shares.pool for _, shares in shown)
    other_picked = batch_size - sum(shares.batch for _, shares in shown)
    rest = row(other_frames, other_picked) if other_frames else None
    return Balance(key, shown, rest, pool_values, batch_values)
