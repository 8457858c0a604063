"""Histograms of pool, batch and another batch in the same bins, counted by DuckDB."""

from __future__ import annotations

import math
from itertools import pairwise

from fleetsift.report.facts import Edges, Histogram, Shares
from fleetsift.report.pool import Pool

BINS = 20  # about as many: edges lie on round numbers
_NARROWEST = 1e-290  # what is narrower than this is rounding

_COUNT = """
SELECT
    histogram(x::DOUBLE, $5::DOUBLE[]) FILTER (WHERE present),
    histogram(x::DOUBLE, $5::DOUBLE[]) FILTER (WHERE present AND picked),
    histogram(x::DOUBLE, $5::DOUBLE[]) FILTER (WHERE present AND picked_by_other),
    count(*) FILTER (WHERE NOT present),
    count(*) FILTER (WHERE NOT present AND picked)
FROM (SELECT x, picked, picked_by_other, coalesce(abs(x) < 1e300, false) AS present FROM pool)
"""


def histogram(pool: Pool, expression: str, *, whole: bool = False) -> Histogram | None:
    """How an expression is distributed, or None where no frame of the pool has a value.

    NaN, infinity and what is as good as infinite count as absent. `whole`: the expression gives whole numbers.
    """
    lowest, highest = pool.ask_one("SELECT min(x), max(x) FROM pool WHERE abs(x) < 1e300", x=expression)
    if lowest is None:
        return None
    edges = bin_edges(float(lowest), float(highest), whole=whole)
    frames, picked, theirs, frames_absent, picked_absent = pool.ask_one(_COUNT, list(edges), x=expression)
    other = _shares(theirs, edges) if pool.other else None
    batch = _shares(picked, edges)
    return Histogram(expression, edges, _shares(frames, edges), batch, frames_absent, picked_absent, other)


def bin_edges(lowest: float, highest: float, *, whole: bool = False) -> Edges:
    """Increasing edges on round numbers that cover [lowest, highest]; whole numbers never lie on an edge."""
    width = highest / BINS - lowest / BINS
    step = round_step(width) if width > _NARROWEST else 0.0
    if whole:
        step = max(1.0, step)
        edges = [k * step - 0.5 for k in range(math.floor(lowest / step), math.floor(highest / step) + 2)]
    elif step:
        edges = [k * step for k in range(math.floor(lowest / step), math.ceil(highest / step) + 1)]
    else:
        edges = []
    if len(edges) < 2 or any(a >= b for a, b in pairwise(edges)):
        # One value only, or values closer than numbers of their size can tell: one bin around them.
        room = max(abs(lowest), abs(highest)) * 1e-3
        room = room if room > _NARROWEST else 0.5
        return lowest - room, highest + room
    return min(edges[0], lowest), *edges[1:-1], max(edges[-1], highest)


def round_step(width: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `width`, which is more than nothing."""
    power = 10.0 ** math.floor(math.log10(width))
    return next((m * power for m in (1, 2, 5) if m * power >= width), 10 * power)


def _shares(counts: dict[float, int] | None, edges: Edges) -> Shares:
    """DuckDB counts (previous edge, edge]: what lies on the first edge belongs to the first bin."""
    on_first, first, *others = counts.values() if counts else [0] * len(edges)
    bins = (on_first + first, *others)
    total = sum(bins)
    return tuple(count / total if total else 0.0 for count in bins)
