"""Strategies by name, held against what a store has."""

from __future__ import annotations

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    STRATEGIES,
    Balance,
    Diversity,
    Objective,
    RoundRobin,
    Score,
    SelectionSpec,
    with_strategy,
)
from fleetsift.selectors.pools.expressions import ScoredFrames, check_expression


def apply_strategy(store: ScoredFrames, name: str, spec: SelectionSpec) -> SelectionSpec:
    """The specification with a strategy in place of its objectives or its round-robin.

    Raises SelectionError in one line for a name that is none, or a column that the store does not have.
    """
    if name not in STRATEGIES:
        raise SelectionError(f"selection.strategy: expected one of {', '.join(STRATEGIES)}, got {name!r}; choose one")
    for text in _expressions(STRATEGIES[name]):
        check_expression(store, f"selection.strategy {name}", text)
    return with_strategy(spec, name)


def _expressions(chosen: tuple[Objective, ...] | RoundRobin) -> list[str]:
    """The columns that a strategy needs."""
    if isinstance(chosen, RoundRobin):
        return [chosen.score]
    of_scores = [objective.expression for objective in chosen if isinstance(objective, Score)]
    of_balances = [objective.key for objective in chosen if isinstance(objective, Balance)]
    return of_scores + of_balances + ["embedding"] * any(isinstance(objective, Diversity) for objective in chosen)
