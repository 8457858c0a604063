"""Falling scores, sorted as far as somebody walks: the order of one stable sort."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from fleetsift.selectors.picking.rankings import FIRST, Ranking


@pytest.mark.parametrize("frames", [0, 1, FIRST, FIRST + 1, 12 * FIRST])
@pytest.mark.parametrize("levels", [1, 3, 10**6])
def test_the_order_is_that_of_a_stable_sort(frames: int, levels: int) -> None:
    scores = np.random.default_rng(frames).integers(0, levels, frames) / 7
    whole = np.argsort(-scores, kind="stable").tolist()
    ranking = Ranking(scores)
    assert list(islice(ranking, 5)) == whole[:5]
    assert list(ranking) == whole
    assert list(ranking) == whole
