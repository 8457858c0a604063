"""Which strategy a pool asks for, by its redundancy and the budget, and whose word that is.

From "Best Practices in Active Learning for Semantic Segmentation" (Mittal, Niemeijer, Schäfer & Brox 2023, arXiv
2302.04075) are the questions: its table has a diverse and a redundant dataset as rows, a low and a high annotation
budget as columns, and under each budget training with and without semi-supervision, of which a store knows nothing.
What stands in that table's cells could not be had. The cells below, and both bounds, are our own reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetsift.advice.redundancy import Redundancy
from fleetsift.schemas.selection import StrategyName

REDUNDANT: Final = 0.6  # a pool is redundant where a smaller share of its frames is distinct
SMALL: Final = 0.05  # a budget, with what is labelled, is small where it is a smaller share of the distinct frames

SOURCE: Final = (
    "The questions, how redundant and how large a budget, are those of Mittal et al. 2023 (arXiv 2302.04075), who also "
    "ask whether training is semi-supervised, which no store can tell. The answer and both bounds are fleetsift's own "
    "reading: they are not that paper's table."
)

# (redundant, small budget) -> strategy, and why
TABLE: Final[Mapping[tuple[bool, bool], tuple[StrategyName, str]]] = {
    (True, True): (
        "coreset",
        "few labels on a redundant pool: spread them over what is distinct before asking what is hard",
    ),
    (True, False): (
        "coral",
        "many labels on a redundant pool: the hardest frames repeat each other, so weigh hardness by distance",
    ),
    (False, True): (
        "random",
        "few labels on a diverse pool: scores of a network that knows little mislead, draw by lot",
    ),
    (False, False): (
        "bald",
        "many labels on a diverse pool: hardly anything repeats, so take what the members disagree about",
    ),
}

# where one network scored the pool, which disagrees with nobody
ALONE: Final[Mapping[tuple[bool, bool], tuple[StrategyName, str]]] = {
    **TABLE,
    (True, False): (
        "coreset",
        "many labels on a redundant pool, and one network, which disagrees with nobody: spread them out",
    ),
    (False, False): (
        "entropy",
        "many labels on a diverse pool, and one network, which disagrees with nobody: take what it is unsure of",
    ),
}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A strategy by name, what speaks for it, and the figures it follows from."""

    strategy: StrategyName
    because: str
    share_distinct: float  # of the pool's frames
    redundant: bool  # whether that is below `redundant_below`
    share_spent: float  # the budget and what is labelled, of the pool's distinct frames
    small_budget: bool  # whether that is below `small_below`
    redundant_below: float = REDUNDANT
    small_below: float = SMALL
    source: str = SOURCE


def recommend(redundancy: Redundancy, budget: int, labelled: int, pool_frames: int) -> Recommendation:
    """Choose from the table; a sample's share of distinct frames stands for the pool's."""
    share_distinct = redundancy.share_distinct
    share_spent = (budget + labelled) / (share_distinct * pool_frames)
    redundant, small = share_distinct < REDUNDANT, share_spent < SMALL
    table = TABLE if redundancy.quantity == "mutual_information" else ALONE
    strategy, because = table[redundant, small]
    return Recommendation(strategy, because, share_distinct, redundant, share_spent, small)
