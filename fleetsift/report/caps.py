"""What the caps of a selection did: which values reached them, with what counts from before, and whom that kept out."""

from __future__ import annotations

from fleetsift.report.facts import CapFacts, CapRow
from fleetsift.report.pool import Pool
from fleetsift.schemas.selection import Cap

MOST_ROWS = 8

_REACHED = """
SELECT value, before, picks, kept_out, count(*) OVER (), sum(kept_out) OVER ()
FROM (
    SELECT
        x::VARCHAR AS value,
        count(*) FILTER (WHERE picked) AS picks,
        count(*) FILTER (WHERE NOT picked) AS kept_out
    FROM pool WHERE x IS NOT NULL GROUP BY value
) LEFT JOIN (SELECT unnest($7::VARCHAR[]) AS value, unnest($8::BIGINT[]) AS before) USING (value)
WHERE picks + coalesce(before, 0) >= $5
ORDER BY kept_out DESC, value
LIMIT $6
"""


def cap_facts(pool: Pool, cap: Cap) -> CapFacts:
    """Count the picks of each value of the cap's key; a value's candidates are kept out once it has reached the cap."""
    (values,) = pool.ask_one("SELECT count(DISTINCT x) FROM pool", x=cap.key)
    before = pool.counted_before("caps", cap.key)
    rows = pool.ask(_REACHED, cap.most, MOST_ROWS, list(before), list(before.values()), x=cap.key)
    reached, kept_out = map(int, rows[0][4:]) if rows else (0, 0)
    shown = tuple(CapRow(value, counted or 0, picks, out) for value, counted, picks, out, *_ in rows)
    binding = pool.selection.blocked_by.get(cap.name, 0) > 0
    return CapFacts(cap.key, cap.most, values, reached, kept_out, binding, shown)
