"""EquAL: how consistent a frame's prediction is with the un-flipped one of its mirror image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.compiled.tiles import AS_ANSWERED, Enlargement
from fleetsift.schemas.scores import EQUAL_DISTANCES, F32


def equal_scores(logits_achw: F32, enlargement: Enlargement = AS_ANSWERED) -> NDArray[np.float64]:
    """Both distances in the order of EQUAL_DISTANCES, each the mean over positions, and over the members.

    logits_achw: answers (2 members, C, h, w); every other one is the un-flipped view of the one before it.
    enlargement: as `reduce_logits` has it.
    The Jensen-Shannon divergence of two softmaxes is the mutual information of the two as an ensemble, in [0, ln 2]
    nats, and two that vote for different classes have a variation ratio of one half. Neither is a sum of two entropies:
    two views that agree have distance 0, however unsure they are. (Golestaneh & Kitani 2020)
    """
    distances = np.zeros(len(EQUAL_DISTANCES))
    pairs = range(0, len(logits_achw), 2)
    for a in pairs:
        pair = reduce_logits(logits_achw[a : a + 2], enlargement=enlargement)
        distances += (
            pair.map_of("mutual_information").mean(dtype=np.float64),
            2 * pair.map_of("variation_ratio").mean(dtype=np.float64),
        )
    return distances / len(pairs)
