"""Whether a variant of an ensemble would rank frames as it does itself, which is all that a selection asks of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fleetsift.inspection.ranks import kendall_tau_b, spearman, top_overlap
from fleetsift.inspection.sample import Sample
from fleetsift.inspection.variants import Variant

RANKED = tuple(
    f"{quantity}.{part}" for quantity in ("entropy", "mutual_information") for part in ("mean", "max", "top")
)
HALF_SPEARMAN = 0.99  # networks in float16 whose ranks agree less with float32's are refused (docs/engines.md)

_FEW = 20  # frames, below which the order of two of them decides about a correlation


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How far the ranks of frames by one score agree; NaN where all frames are equal."""

    score: str
    spearman: float
    kendall_tau_b: float
    top_percent_overlap: (
        float  # what part of the highest 1 % by one is among those by the other; of few frames the first
    )
    top_tenth_overlap: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The ensemble as it is configured against one of its variants."""

    title: str
    variant: str  # native, full, float32 or float16
    ranks: tuple[RankAgreement, ...]
    missing: str | None  # why there are none


def compare(sample: Sample, configured: str, variant: Variant, members: int) -> Comparison:
    """Each ranked score of the two, on the frames that have a number from both.

    One member alone has no mutual information: what there is of it is rounding, and ranks nothing.
    """
    ranked = [score for score in RANKED if members > 1 or not score.startswith("mutual_information")]
    agreements = []
    for score in ranked if variant.engine else ():
        both = np.stack([sample.column(name, score) for name in (configured, variant.name)])
        one, other = both[:, np.isfinite(both).all(axis=0)]
        if len(one):
            tops = (top_overlap(one, other, share) for share in (0.01, 0.1))
            agreements.append(RankAgreement(score, spearman(one, other), kendall_tau_b(one, other), *tops))
    missing = variant.missing or (None if agreements else "no frame has numbers from both")
    return Comparison(variant.title, variant.name, tuple(agreements), missing)


def broken_ranks(comparison: Comparison, frames: int) -> str | None:
    """What to say where float16 puts frames in another order than float32; few frames tell nothing of order."""
    low = [rank for rank in comparison.ranks if not math.isnan(rank.spearman) and rank.spearman < HALF_SPEARMAN]
    if comparison.variant != "float32" or frames < _FEW or not low:
        return None
    worst = min(low, key=lambda rank: rank.spearman)
    return (
        f"ranks: expected float16 to rank {frames} frames as float32 does, Spearman {HALF_SPEARMAN:g} or more, got "
        f"{worst.spearman:.3f} by {worst.score}; leave the networks in float32"
    )
