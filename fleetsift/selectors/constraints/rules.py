"""Each kind of constraint as a plain function: from what the pool knows to a rule that watches the picks.

A pick only ever keeps more candidates out. That is what lets greedy work on a few candidates at a time, and what spares
it from taking a pick back: caps are partition matroids (Fisher, Nemhauser & Wolsey 1978).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetsift.schemas.selection import Cap, Constraint, Counting, Gap, Guard, Threshold
from fleetsift.selectors.objectives.diversity import nearest_squared
from fleetsift.selectors.pools.pool import NOBODY, Flags, Key, Pool, Rows


@dataclass(frozen=True, slots=True)
class Admission:
    """What the constraints say of one pick, by key; a NULL value has no entry."""

    keys: dict[str, str] = field(default_factory=dict)  # its value
    room_left: dict[str, int] = field(default_factory=dict)  # how many more of its value a cap admits
    apart_s: dict[str, float] = field(default_factory=dict)  # under a gap, to the nearest earlier pick of its value
    margins: dict[str, float] = field(default_factory=dict)  # by name of a threshold or guard, to where it would shut
    owed: dict[str, int] = field(default_factory=dict)  # by name of a quota it pays: what is owed after it


@dataclass(frozen=True, slots=True)
class Rule:
    """One constraint at work on a pool."""

    name: str
    counting: Counting | None  # under what name labelled frames may be told to count in it
    shut: Flags  # (N,) whom it keeps out so far
    take: Callable[[int, Admission], Rows]  # counts a pick, says so, and gives the candidates it keeps out from here on


def cap_rule(pool: Pool, cap: Cap) -> Rule:
    """Keep out everybody of a value when its last place is taken."""
    key = pool.key(cap.key)
    order = np.argsort(key.codes, kind="stable")
    bounds = _bounds(key, order)
    left = np.full(len(key.values), cap.most, np.int64)

    def take(row: int, admission: Admission) -> Rows:
        code = int(key.codes[row])
        if code < 0:
            return NOBODY
        left[code] -= 1
        admission.keys[cap.key] = key.values[code]
        admission.room_left[cap.key] = int(left[code])
        return NOBODY if left[code] > 0 else order[bounds[code] : bounds[code + 1]]

    return Rule(cap.name, "caps", np.zeros(len(pool), np.bool_), take)


def gap_rule(pool: Pool, gap: Gap) -> Rule:
    """Keep out everybody of a pick's value who was captured too soon before or after it."""
    key, captured_us = pool.key(gap.key), pool.moments()
    order = np.lexsort((captured_us, key.codes))
    bounds, in_order_us = _bounds(key, order), captured_us[order]
    least_us = round(gap.least_s * 1e6)
    picked_us: defaultdict[int, list[int]] = defaultdict(list)  # code -> when its picks were captured, in order

    def take(row: int, admission: Admission) -> Rows:
        code, at_us = int(key.codes[row]), int(captured_us[row])
        if code < 0:
            return NOBODY
        admission.keys[gap.key] = key.values[code]
        place = bisect_left(picked_us[code], at_us)
        if around := picked_us[code][max(0, place - 1) : place + 1]:
            admission.apart_s[gap.key] = min(abs(at_us - other_us) for other_us in around) / 1e6
        insort(picked_us[code], at_us)
        group = slice(bounds[code], bounds[code + 1])
        first = np.searchsorted(in_order_us[group], at_us - least_us, side="right")
        last = np.searchsorted(in_order_us[group], at_us + least_us, side="left")
        return order[group][first:last]

    return Rule(gap.name, "gaps", np.zeros(len(pool), np.bool_), take)


def threshold_rule(pool: Pool, threshold: Threshold) -> Rule:
    """Keep out, from the beginning, everybody below the least or above the most."""
    values = pool.score(threshold.expression)
    least = -np.inf if threshold.least is None else threshold.least
    most = np.inf if threshold.most is None else threshold.most

    def take(row: int, admission: Admission) -> Rows:
        admission.margins[threshold.name] = float(min(values[row] - least, most - values[row]))
        return NOBODY

    return Rule(threshold.name, None, (values < least) | (values > most), take)


def guard_rule(pool: Pool, guard: Guard) -> Rule:
    """Keep out, from the beginning, everybody who is too near to a given frame."""
    distances = np.sqrt(nearest_squared(pool.vectors(), pool.given_vectors(guard.name)))

    def take(row: int, admission: Admission) -> Rows:
        admission.margins[guard.name] = float(distances[row] - guard.least)
        return NOBODY

    return Rule(guard.name, None, distances < guard.least, take)


def _bounds(key: Key, order: Rows) -> Rows:
    """Where each value's candidates begin, (V + 1,), in an order that goes by their codes."""
    return np.searchsorted(key.codes[order], np.arange(len(key.values) + 1))


RULES: Mapping[type[Constraint], Callable[[Pool, Any], Rule]] = {
    Cap: cap_rule,
    Gap: gap_rule,
    Threshold: threshold_rule,
    Guard: guard_rule,
}
