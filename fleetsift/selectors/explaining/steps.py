"""How each kind of rule is made weaker for one frame, in steps, the least first.

A cap by one place, a gap to the next time that the frame is apart from another of its value, a threshold or a guard to
the frame's own figure, a quota by one pick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fleetsift.schemas.selection import Cap, Constraint, Gap, Guard, Quota, SelectionSpec, Threshold
from fleetsift.selectors.objectives.diversity import nearest_squared
from fleetsift.selectors.pools.pool import Pool

MORE_PICKS = 1_000  # budgets are tried up to so many picks above the specification's


@dataclass(frozen=True, slots=True)
class Change:
    """Another budget, or another number in one constraint."""

    name: str  # `budget`, or the constraint's name
    now: float
    needed: float  # 0 for a gap or a quota that has to go
    surely_least: bool = True  # False where the search ended before it knew that the step before this is too little


@dataclass(frozen=True, slots=True)
class Step:
    """One constraint made weaker; None where it has to go."""

    constraint: Constraint | None
    change: Change


def largest_budget(pool: Pool, spec: SelectionSpec) -> int:
    """The largest budget that is tried."""
    return max(spec.budget, min(len(pool), spec.budget + MORE_PICKS))


def _raise_cap(pool: Pool, spec: SelectionSpec, _row: int, cap: Cap) -> Iterator[Step]:
    codes = pool.key(cap.key).codes
    settled = len(pool.labelled) + len(pool.earlier)
    enough = min(int(np.bincount(codes[codes >= 0]).max(initial=0)), settled + largest_budget(pool, spec))
    for most in range(cap.most + 1, enough + 1):  # a cap that no value fills is none
        yield Step(msgspec.structs.replace(cap, most=most), Change(cap.name, cap.most, most))


def _narrow_gap(pool: Pool, _spec: SelectionSpec, row: int, gap: Gap) -> Iterator[Step]:
    codes, captured_us = pool.key(gap.key).codes, pool.moments()
    alike = np.flatnonzero(codes == codes[row])
    apart_us = np.unique(np.abs(captured_us[alike[alike != row]] - captured_us[row]))[::-1]
    for least_us in apart_us[(apart_us > 0) & (apart_us < round(gap.least_s * 1e6))].tolist():
        least_s = least_us / 1e6
        yield Step(msgspec.structs.replace(gap, least_s=least_s), Change(gap.name, gap.least_s, least_s))
    yield Step(None, Change(gap.name, gap.least_s, 0))


def _widen_threshold(pool: Pool, _spec: SelectionSpec, row: int, threshold: Threshold) -> Iterator[Step]:
    value = float(pool.score(threshold.expression)[row])
    bound = "least" if threshold.least is not None and value < threshold.least else "most"
    now = getattr(threshold, bound)
    yield Step(msgspec.structs.replace(threshold, **{bound: value}), Change(threshold.name, now, value))


def _narrow_guard(pool: Pool, _spec: SelectionSpec, row: int, guard: Guard) -> Iterator[Step]:
    least = math.sqrt(nearest_squared(pool.vectors()[row : row + 1], pool.given_vectors(guard.name))[0])
    if least > 0:  # a frame of the test set itself stays out
        yield Step(msgspec.structs.replace(guard, least=least), Change(guard.name, guard.least, least))


def _lower_quota(_pool: Pool, _spec: SelectionSpec, _row: int, quota: Quota) -> Iterator[Step]:
    for least in range(quota.least - 1, 0, -1):
        yield Step(msgspec.structs.replace(quota, least=least), Change(quota.name, quota.least, least))
    yield Step(None, Change(quota.name, quota.least, 0))


STEPS: Mapping[type[Constraint], Callable[[Pool, SelectionSpec, int, Any], Iterator[Step]]] = {
    Cap: _raise_cap,
    Gap: _narrow_gap,
    Threshold: _widen_threshold,
    Guard: _narrow_guard,
    Quota: _lower_quota,
}
