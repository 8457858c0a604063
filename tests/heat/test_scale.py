"""One scale for many maps, found without keeping them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fleetsift.heat.scale import BRIGHT, LEVELS, bright_end, count_levels, most_nats
from fleetsift.schemas.scores import F32

MOST = most_nats(11)

maps = hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(0.25, 2, width=32))


@given(maps, maps)
def test_maps_counted_one_by_one_give_the_quantile_of_all(one: F32, other: F32) -> None:
    found = bright_end(count_levels(one, MOST) + count_levels(other, MOST), MOST)
    exact = np.quantile(np.concatenate([one, other]), BRIGHT, method="inverted_cdf")
    assert found == pytest.approx(exact, abs=1.01 * MOST / LEVELS)


def test_one_bright_spot_does_not_take_the_scale() -> None:
    heat = np.full((100, 100), 0.1, np.float32)
    heat[0, 0] = 1.0
    assert bright_end(count_levels(heat, MOST), MOST) == pytest.approx(0.1, abs=MOST / LEVELS)


def test_a_spot_in_the_dark_is_still_shown() -> None:
    heat = np.zeros((100, 100), np.float32)
    heat[0, 0] = 1.0
    assert bright_end(count_levels(heat, MOST), MOST) == pytest.approx(1.0, abs=MOST / LEVELS)


def test_where_all_is_rounding_nothing_glows() -> None:
    assert bright_end(count_levels(np.full((9, 9), 1e-7, np.float32), MOST), MOST) == math.log(2)


def test_what_rounding_lifts_above_the_highest_entropy_counts() -> None:
    assert count_levels(np.array([MOST * 1.000001], np.float32), MOST)[-1] == 1
