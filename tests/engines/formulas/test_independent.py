"""Independent classes: the float64 formulas by hand and within bounds, and the compiled reduction against them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from fleetsift.engines.compiled.reduction import Reduced, reduce_logits
from fleetsift.engines.formulas import independent
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.rows import FrameRow, class_quantities_of
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import F32, Task, quantities_of
from tests.engines.drawn_logits import examples, logits, random_logits

TASK: Task = "detection_heatmap"
LN2 = math.log(2)


def logits_of(*probabilities: list[float]) -> F32:
    """Logits (M, C, 1, 1) of members with these probabilities at the only position."""
    p = np.array(probabilities, np.float64)
    with np.errstate(divide="ignore"):
        values = np.clip(np.log(p) - np.log1p(-p), -1e4, 1e4)
    logits_mchw: F32 = values.astype(np.float32)[:, :, None, None]
    return logits_mchw


def quantities(logits_mchw: F32) -> dict[str, float]:
    """The quantities of a frame with one position."""
    row = score_frame(logits_mchw, RegionSpec(rows=1, columns=1), 1.0, task=TASK)
    assert isinstance(row, FrameRow)
    return dict(zip(quantities_of(TASK), row.statistics[:, 0], strict=True))


def reduce(logits_mchw: F32) -> Reduced:
    return reduce_logits(logits_mchw, class_maps=True, task=TASK)


def test_certain_members_that_disagree_about_each_class() -> None:
    found = quantities(logits_of([1, 0], [0, 1]))
    assert found == pytest.approx(
        {"entropy": 2 * LN2, "expected_entropy": 0, "mutual_information": 2 * LN2, "least_confidence": 1}
    )


def test_a_class_is_not_made_less_likely_by_another() -> None:
    """Mistake 6 of SCORES.md: probabilities that do not sum to one stay what they are."""
    half, high = LN2, -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    found = quantities(logits_of([0.5, 0.9, 0.9]))
    assert found["entropy"] == pytest.approx(half + 2 * high)
    assert found["least_confidence"] == pytest.approx(0.5 + 0.1 + 0.1)
    assert found["mutual_information"] == pytest.approx(0, abs=1e-12)


@examples
@given(logits)
def test_quantities_lie_within_their_bounds(logits_mchw: F32) -> None:
    classes = logits_mchw.shape[1]
    most = {
        "entropy": classes * LN2,
        "expected_entropy": classes * LN2,
        "mutual_information": classes * LN2,
        "least_confidence": classes / 2,
    }
    for name, formula in independent.QUANTITY_OF.items():
        assert formula(logits_mchw).min() > -1e-12
        assert formula(logits_mchw).max() < most[name] + 1e-12
    information = independent.class_information(logits_mchw)
    assert information.min() > -1e-12
    assert information.max() < LN2 + 1e-12


@examples
@given(logits)
def test_the_reduction_matches_the_reference(logits_mchw: F32) -> None:
    reduced = reduce(logits_mchw)
    for name, formula in independent.QUANTITY_OF.items():
        np.testing.assert_allclose(reduced.map_of(name), formula(logits_mchw), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(reduced.class_information, independent.class_information(logits_mchw), atol=2e-6)
    assert reduced.maps.min() >= 0
    assert reduced.class_information.min() >= 0
    assert reduced.class_information.max() <= LN2 + 1e-6


@pytest.mark.parametrize("positions", [1, 511, 512, 513, 1500])
@pytest.mark.parametrize("spread", [1e-3, 3.0, 30.0, 1e4, 1e20])
def test_rows_of_positions_and_logits_of_any_size_match_the_reference(positions: int, spread: float) -> None:
    logits_mchw = random_logits(4, 19, 1, positions, spread)
    reduced = reduce(logits_mchw)
    for name, formula in independent.QUANTITY_OF.items():
        np.testing.assert_allclose(reduced.map_of(name), formula(logits_mchw), rtol=1e-5, atol=1e-5, err_msg=name)


@examples
@given(logits)
def test_class_shares_sum_to_the_whole(logits_mchw: F32) -> None:
    reduced = reduce(logits_mchw)
    np.testing.assert_allclose(
        reduced.class_information.sum(axis=0), reduced.map_of("mutual_information"), rtol=1e-6, atol=1e-6
    )
    sums = dict(zip(class_quantities_of(TASK), reduced.class_means.sum(axis=1), strict=True))
    assert sums["entropy"] == pytest.approx(reduced.map_of("entropy").mean(), rel=1e-5, abs=1e-6)
    assert sums["mutual_information"] == pytest.approx(reduced.map_of("mutual_information").mean(), rel=1e-5, abs=1e-6)


def test_argmax_is_the_most_probable_class() -> None:
    logits_mchw = random_logits(3, 6, 20, 30)
    np.testing.assert_array_equal(reduce(logits_mchw).argmax, independent.mean_probability(logits_mchw).argmax(axis=0))
