"""Which strategy a pool asks for, by its redundancy and the budget, and why.

The two questions, and that diversity is the answer to redundancy, are from "Best Practices in Active Learning for
Semantic Segmentation" (Mittal, Niemeijer, Schäfer & Brox 2023), whose third, semi-supervised training, no store can
answer. That a small budget on a diverse pool is for what is typical, not for what is hard, is from "Active Learning on
a Budget" (Hacohen, Dekel & Weinshall 2022). The bounds between few and many are ours, and stand below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetsift.advice.redundancy import Redundancy

SMALL = 0.05  # a budget of less than this share of the pool's distinct frames, labelled ones included, is small

# (redundant, small budget) -> strategy
TABLE: Mapping[tuple[bool, bool], str] = {
    (True, True): "coreset",
    (True, False): "coral",
    (False, True): "random",
    (False, False): "bald",
}
_WHY: Mapping[tuple[bool, bool], str] = {
    (True, True): "few labels on a redundant pool: spread them over what is distinct before asking what is hard",
    (
        True,
        False,
    ): "many labels on a redundant pool: the hardest frames repeat each other, so weigh hardness by distance",
    (False, True): "few labels on a diverse pool: scores of a network that knows little mislead, draw by lot",
    (False, False): "many labels on a diverse pool: hardly anything repeats, so take what the members disagree about",
}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A strategy by name, and what speaks for it."""

    strategy: str
    because: str
    redundant: bool
    small_budget: bool


def recommend(redundancy: Redundancy, budget: int, labelled: int, pool_frames: int) -> Recommendation:
    """Choose from the table; a sample's share of distinct frames stands for the pool's."""
    distinct = redundancy.share_distinct * pool_frames
    small = budget + labelled < SMALL * distinct
    case = (redundancy.redundant, small)
    return Recommendation(TABLE[case], _WHY[case], redundancy.redundant, small)
