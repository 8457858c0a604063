"""How far two scorings of the same frames agree on their order, which is all that a selection uses of a score.

Each function takes two vectors (N,) of finite numbers. A correlation is NaN where either has all its frames equal:
then there is no order to agree on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rho: the correlation of ranks, equal values sharing the mean of theirs."""
    x, y = (ranks - ranks.mean() for ranks in (_mean_ranks(a), _mean_ranks(b)))
    scale = math.sqrt((x @ x) * (y @ y))
    return float(x @ y) / scale if scale else math.nan


def kendall_tau_b(a: Floats, b: Floats) -> float:
    """Kendall's tau-b: pairs in the same order less pairs in the opposite one, corrected for ties; O(N²) time."""
    agreement = untied_a = untied_b = 0
    for i in range(1, len(a)):
        order_a, order_b = np.sign(a[i] - a[:i]).astype(np.int64), np.sign(b[i] - b[:i]).astype(np.int64)
        agreement += int(order_a @ order_b)
        untied_a += int(np.count_nonzero(order_a))
        untied_b += int(np.count_nonzero(order_b))
    scale = math.sqrt(untied_a * untied_b)
    return agreement / scale if scale else math.nan


def top_overlap(a: Floats, b: Floats, share: float) -> float:
    """What part of the ceil(share * N) highest by one is among those by the other; of equal frames the first counts."""
    count = math.ceil(share * len(a))
    best_a, best_b = (np.argsort(-values, kind="stable")[:count] for values in (a, b))
    return len(np.intersect1d(best_a, best_b)) / count


def _mean_ranks(values: Floats) -> NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    ranks: NDArray[np.float64] = (last - (sizes - 1) / 2)[group]
    return ranks
