"""Selections known by name, as pure specifications of what they prefer; budget and constraints stay the caller's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    Balance,
    Diversity,
    Objective,
    Random,
    RoundRobin,
    Score,
    SelectionSpec,
)
from fleetsift.selectors.expressions import ScoredFrames, check_expression

# Every minute of driving once before any a second time, by lot: so weak a lot decides only between equal shares.
_EVERY_MINUTE = "session_id || ' ' || CAST(date_trunc('minute', captured_at) AS VARCHAR)"

STRATEGIES: Mapping[str, tuple[Objective, ...] | RoundRobin] = {
    "random": (Random(),),
    "entropy": (Score(expression="entropy.mean"),),
    "bald": (Score(expression="mutual_information.mean"),),  # Houlsby et al. 2011
    "equal": (Score(expression="equal.jensen_shannon"),),  # Golestaneh & Kitani 2020
    "coreset": (Diversity(),),  # k-center greedy, Sener & Savarese 2018
    "coral": (Score(expression="mutual_information.mean"), Diversity()),
    "uniform-time": (Balance(key=_EVERY_MINUTE), Random(strength=0.001)),
    "round-robin": RoundRobin(),  # Haussmann et al. 2020
}


def apply_strategy(store: ScoredFrames, name: str, spec: SelectionSpec) -> SelectionSpec:
    """The specification with a strategy in place of its objectives or its round-robin.

    Raises SelectionError in one line for a name that is none, or a column that the store does not have.
    """
    if name not in STRATEGIES:
        raise SelectionError(f"selection.strategy: expected one of {', '.join(STRATEGIES)}, got {name!r}; choose one")
    chosen = STRATEGIES[name]
    for text in _expressions(chosen):
        try:
            check_expression(store, f"selection.strategy {name}", text)
        except SelectionError as error:
            raise SelectionError(
                f"selection.strategy {name}: expected a store with {text}, {store.ensemble_id} was scored without; "
                "score with it, or choose another strategy"
            ) from error
    if isinstance(chosen, RoundRobin):
        return msgspec.structs.replace(spec, round_robin=chosen)
    return msgspec.structs.replace(spec, objectives=chosen, round_robin=None)


def _expressions(chosen: tuple[Objective, ...] | RoundRobin) -> list[str]:
    """The columns that a strategy needs."""
    if isinstance(chosen, RoundRobin):
        return [chosen.score]
    of_scores = [objective.expression for objective in chosen if isinstance(objective, Score)]
    of_balances = [objective.key for objective in chosen if isinstance(objective, Balance)]
    return of_scores + of_balances + ["embedding"] * any(isinstance(objective, Diversity) for objective in chosen)
