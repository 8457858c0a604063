"""Rank statistics against the definitions, pair by pair and frame by frame."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.inspection.ranks import kendall_tau_b, spearman, top_overlap

# Few different values, so that there are ties; the second vector follows the first, or does not.
pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=25).map(
    lambda rows: np.array(rows, np.float32).T
)


@given(pairs)
def test_spearman_is_the_correlation_of_mean_ranks(both: np.ndarray) -> None:
    def rank(values: list[float], value: float) -> float:
        return mean(i for i, v in enumerate(sorted(values), start=1) if v == value)

    x, y = ([rank(v, value) for value in v] for v in both.tolist())
    mx, my = mean(x), mean(y)
    covariance = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    scale = math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))
    assert spearman(*both) == pytest.approx(covariance / scale if scale else math.nan, nan_ok=True)


@given(pairs)
def test_kendall_counts_pairs(both: np.ndarray) -> None:
    concordant = discordant = tied_a_only = tied_b_only = 0
    for i, j in combinations(range(both.shape[1]), 2):
        a, b = both[:, i] - both[:, j]
        concordant += a * b > 0
        discordant += a * b < 0
        tied_a_only += a == 0 != b
        tied_b_only += b == 0 != a
    untied = concordant + discordant
    scale = math.sqrt((untied + tied_a_only) * (untied + tied_b_only))
    expected = (concordant - discordant) / scale if scale else math.nan
    assert kendall_tau_b(*both) == pytest.approx(expected, nan_ok=True)


@given(pairs, st.sampled_from([0.01, 0.1, 0.5, 1.0]))
def test_overlap_counts_frames_that_both_put_first(both: np.ndarray, share: float) -> None:
    n = both.shape[1]
    count = math.ceil(share * n)
    one, other = (set(sorted(range(n), key=lambda i: (-v[i], i))[:count]) for v in both.tolist())
    assert top_overlap(both[0], both[1], share) == len(one & other) / count


@given(pairs)
def test_an_order_agrees_with_itself_and_not_with_its_reverse(both: np.ndarray) -> None:
    values = both[0]
    if np.ptp(values):
        for statistic in (spearman, kendall_tau_b):
            assert statistic(values, np.exp(values)) == pytest.approx(1)
            assert statistic(values, -values) == pytest.approx(-1)


def test_known_values() -> None:
    a, b = np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 3, 2, 5, 4])
    assert spearman(a, b) == pytest.approx(0.8)
    assert kendall_tau_b(a, b) == pytest.approx(0.6)
