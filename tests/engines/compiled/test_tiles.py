"""Logits enlarged by the reduction against the reference on logits that were enlarged before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.compiled.tiles import TILE, enlarge_linearly
from fleetsift.engines.formulas import independent, uncertainty
from fleetsift.schemas.scores import F32, QUANTITIES, Task, quantities_of
from tests.engines.drawn_logits import random_logits

SIZES = [(1, 1), (3, 5), (5, 3), (2, TILE + 1), (9, 150)]


def enlarged(logits: F32, factor: int) -> NDArray[np.float64]:
    """Linear interpolation between the centres of positions, in float64, along both axes."""

    def along(values: NDArray[np.float64]) -> NDArray[np.float64]:
        few = values.shape[-1]
        places = (np.arange(few * factor) + 0.5) / factor - 0.5
        return np.apply_along_axis(lambda line: np.interp(places, np.arange(few), line), -1, values)

    return along(along(logits.astype(np.float64)).swapaxes(-1, -2)).swapaxes(-1, -2)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("size", SIZES)
def test_enlarged_logits_have_the_scores_of_the_reference(size: tuple[int, int], factor: int) -> None:
    logits = random_logits(3, 4, *size)
    reduced = reduce_logits(
        logits, class_maps=True, enlargement=enlarge_linearly(size, (size[0] * factor, size[1] * factor))
    )
    log_probs = uncertainty.log_softmax(enlarged(logits, factor))
    for values, quantity in zip(reduced.maps, QUANTITIES, strict=True):
        expected = uncertainty.QUANTITY_OF[quantity](log_probs)
        wrong = np.abs(values - expected) > 1e-5
        assert not wrong.any() if quantity != "variation_ratio" else wrong.mean() < 0.01, quantity
    shares = uncertainty.class_information(log_probs)
    assert np.abs(reduced.class_information - shares).max() <= 1e-5
    assert np.abs(reduced.class_entropy - uncertainty.class_entropy(log_probs)).max() <= 1e-5
    assert np.abs(reduced.class_means[1] - shares.mean(axis=(1, 2))).max() <= 1e-5
    assert (reduced.argmax != uncertainty.most_probable(log_probs)).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_so_have_those_of_independent_classes(size: tuple[int, int]) -> None:
    logits = random_logits(3, 4, *size)
    task: Task = "detection_heatmap"
    to = (size[0] * 4, size[1] * 4)
    reduced = reduce_logits(logits, class_maps=True, task=task, enlargement=enlarge_linearly(size, to))
    at_once = reduce_logits(enlarged(logits, 4).astype(np.float32), class_maps=True, task=task)
    assert reduced.maps.shape == (len(quantities_of(task)), *to)
    np.testing.assert_allclose(reduced.maps, at_once.maps, atol=1e-5)
    np.testing.assert_allclose(reduced.class_information, at_once.class_information, atol=1e-5)
    np.testing.assert_allclose(reduced.class_entropy, at_once.class_entropy, atol=1e-5)
    np.testing.assert_allclose(reduced.class_means, at_once.class_means, atol=1e-5)
    p, _ = independent.probabilities(enlarged(logits, 4))
    np.testing.assert_allclose(reduced.class_means[2], p.mean(axis=(0, 2, 3)), atol=1e-5)


def test_mirrored_logits_have_mirrored_maps() -> None:
    logits = random_logits(3, 4, 9, 11)
    plain, mirrored = (
        reduce_logits(np.ascontiguousarray(values), enlargement=enlarge_linearly((9, 11), (36, 44))).maps
        for values in (logits, logits[..., ::-1])
    )
    np.testing.assert_allclose(plain, mirrored[..., ::-1], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_a_member_that_is_not_finite_is_named(value: float, task: Any) -> None:
    broken = random_logits(4, 5, 6, 7)
    broken[2, 3, 5, 6] = value
    reduced = reduce_logits(broken, task=task, enlargement=enlarge_linearly((6, 7), (48, 56)))
    assert reduced.finite.tolist() == [True, True, False, True]


def test_sizes_that_are_no_multiples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a multiple of \(3, 4\), got \(6, 9\)"):
        enlarge_linearly((3, 4), (6, 9))
