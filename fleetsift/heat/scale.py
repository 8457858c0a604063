"""One scale for many heat maps: a scale of its own for each would hide that one frame is worse than another.

The positions of all maps are counted by level, so however many maps there are, they need not be kept.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BRIGHT = 0.99  # the share of all positions below the bright end: boundaries would otherwise take the whole scale
LEVELS = 65_536


def count_levels(values: NDArray[np.float32], most: float) -> NDArray[np.int64]:
    """How many positions lie at each of LEVELS even levels from 0 to `most`; what lies beyond counts at the end."""
    levels = np.clip(values.ravel() * (LEVELS / most), 0, LEVELS - 1).astype(np.int64)
    return np.bincount(levels, minlength=LEVELS)


def bright_end(counts: NDArray[np.int64], most: float) -> float:
    """The value below which BRIGHT of all counted positions lie; ln 2 where all are at the first level.

    The first level is as good as nothing: a map that shows nothing is to be dark, not to make rounding glow.
    """
    within = np.cumsum(counts) >= BRIGHT * counts.sum()
    level = int(within.argmax()) or int(counts.nonzero()[0].max(initial=0))
    return (level + 1) * most / LEVELS if level else math.log(2)


def most_nats(classes: int) -> float:
    """No entropy of a position is higher: C ln 2, that of C independent questions."""
    return classes * math.log(2)
