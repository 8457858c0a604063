"""What to select (YAML), and what was selected, with a receipt for each pick."""

from __future__ import annotations

from fleetsift.schemas.selection.constraints import Cap, Constraint, Gap, Guard, Quota, Threshold
from fleetsift.schemas.selection.objectives import (
    AreaBalance,
    Balance,
    Diversity,
    Measure,
    Objective,
    Random,
    Score,
    Similarity,
    Strength,
    Target,
    Typicality,
)
from fleetsift.schemas.selection.receipts import Pick, Selection
from fleetsift.schemas.selection.specification import (
    Counting,
    Labelled,
    SelectionSpec,
    Unit,
    resolve_files,
    with_strategy,
)
from fleetsift.schemas.selection.strategies import STRATEGIES, RoundRobin, StrategyName

__all__ = [
    "STRATEGIES",
    "AreaBalance",
    "Balance",
    "Cap",
    "Constraint",
    "Counting",
    "Diversity",
    "Gap",
    "Guard",
    "Labelled",
    "Measure",
    "Objective",
    "Pick",
    "Quota",
    "Random",
    "RoundRobin",
    "Score",
    "Selection",
    "SelectionSpec",
    "Similarity",
    "StrategyName",
    "Strength",
    "Target",
    "Threshold",
    "Typicality",
    "Unit",
    "resolve_files",
    "with_strategy",
]
