"""A pool in which there is something to choose, and something to choose it by; otherwise what is lacking."""

from __future__ import annotations

from collections.abc import Mapping

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Balance, Score, SelectionSpec
from fleetsift.selectors.pools.pool import Flags, Pool


def expect_some(candidate: Flags, left_out: Mapping[str, int], spec: SelectionSpec) -> None:
    """Refuse a pool without candidates (N,), with what left how many out and what would help most."""
    if not candidate.any():
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.items() if count)
        most = max(left_out, key=lambda reason: left_out[reason], default="")
        if most == "no captured_at":
            remedy = "send captured_at with the frames, or leave gaps out"
        elif most.startswith("no finite"):
            remedy = "name another score" + (", a region has means alone" if spec.unit == "region" else "")
        else:
            remedy = "widen the filter, or score more frames"
        raise SelectionError(
            f"selection: expected candidates, got none ({why or 'the store has no scored frame'}); {remedy}"
        )


def expect_a_choice(pool: Pool, spec: SelectionSpec) -> None:
    """Refuse an objective that is 0 for every candidate: with it in the product, names alone would decide."""
    candidates = pool.candidates
    got = f"for all of {candidates.sum()}"
    for i, objective in enumerate(() if spec.round_robin else spec.objectives):
        where = f"selection.objectives[{i}]"
        if not objective.strength:
            continue
        if isinstance(objective, Score) and not pool.score(objective.expression)[candidates].any():
            raise SelectionError(
                f"{where}: expected more than 0 from {objective.expression!r} for some candidate, got 0 {got}; name "
                "another expression (one network alone has no mutual information), or leave it out"
            )
        if isinstance(objective, Balance) and (pool.key(objective.key).codes[candidates] < 0).all():
            raise SelectionError(
                f"{where} {objective.name!r}: expected a value for some candidate, got NULL {got}; send it with the "
                "frames, or leave it out"
            )
