"""The compiled reduction against the float64 reference."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given

from fleetsift.engines.compiled.reduction import reduce_in_turns, reduce_logits, room_for_sums
from fleetsift.engines.formulas import uncertainty
from fleetsift.engines.rows import CLASS_QUANTITIES
from fleetsift.schemas.scores import F32, QUANTITIES
from tests.engines.drawn_logits import examples, logits, random_logits

ENTROPY, INFORMATION = QUANTITIES.index("entropy"), QUANTITIES.index("mutual_information")


def assert_matches_reference(logits_mchw: F32, tolerance: float = 1e-5) -> None:
    reduced = reduce_logits(logits_mchw, class_maps=True)
    log_probs = uncertainty.log_softmax(logits_mchw)
    assert reduced.finite.all()
    for values, quantity in zip(reduced.maps, QUANTITIES, strict=True):
        expected = uncertainty.QUANTITY_OF[quantity](log_probs)
        assert np.abs(values - expected).max() <= tolerance, quantity
    class_information = uncertainty.class_information(log_probs)
    assert np.abs(reduced.class_information - class_information).max() <= tolerance
    probability = uncertainty.mean_probability(log_probs)
    expected_means = {
        "entropy": uncertainty.class_entropy(log_probs).mean(axis=(1, 2)),
        "mutual_information": class_information.mean(axis=(1, 2)),
        "area": probability.mean(axis=(1, 2)),
        "argmax": np.bincount(reduced.argmax.ravel(), minlength=len(probability)) / reduced.argmax.size,
    }
    for values, quantity in zip(reduced.class_means, CLASS_QUANTITIES, strict=True):
        assert np.abs(values - expected_means[quantity]).max() <= tolerance, quantity
    np.testing.assert_array_equal(reduced.argmax, uncertainty.most_probable(log_probs))


@examples
@given(logits)
def test_every_quantity_matches_the_reference(logits_mchw: F32) -> None:
    assert_matches_reference(logits_mchw)


@pytest.mark.parametrize("positions", [1, 511, 512, 513, 1500])
def test_rows_of_positions_and_what_is_left_over_match_the_reference(positions: int) -> None:
    assert_matches_reference(random_logits(4, 19, 1, positions))


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0, 1e4, 1e20])
def test_logits_of_any_size_match_the_reference(spread: float) -> None:
    assert_matches_reference(random_logits(8, 5, 20, 30, spread))


@pytest.mark.parametrize("classes", [2, 19, 150])
@pytest.mark.parametrize("difference", [0.0, 1e-6, 1e-4, 1e-2])
def test_nearly_identical_members_match_the_reference(classes: int, difference: float) -> None:
    same = np.repeat(random_logits(1, classes, 16, 32), 6, axis=0)
    logits_mchw = same + random_logits(6, classes, 16, 32, difference, seed=1)
    assert_matches_reference(logits_mchw)
    expected = uncertainty.mutual_information(uncertainty.log_softmax(logits_mchw))
    assert np.abs(reduce_logits(logits_mchw).maps[INFORMATION] - expected).max() <= 1e-6


@examples
@given(logits)
def test_class_shares_sum_to_the_whole(logits_mchw: F32) -> None:
    reduced = reduce_logits(logits_mchw, class_maps=True)
    np.testing.assert_allclose(reduced.class_information.sum(axis=0), reduced.maps[INFORMATION], atol=2e-6)
    np.testing.assert_allclose(reduced.class_entropy.sum(axis=0), reduced.maps[ENTROPY], atol=2e-6)
    means = dict(zip(CLASS_QUANTITIES, reduced.class_means.sum(axis=1), strict=True))
    assert means["entropy"] == pytest.approx(reduced.maps[QUANTITIES.index("entropy")].mean(), abs=1e-6)
    assert means["mutual_information"] == pytest.approx(reduced.maps[INFORMATION].mean(), abs=1e-6)
    assert means["area"] == pytest.approx(1, abs=1e-6)
    assert means["argmax"] == pytest.approx(1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(2, 0, 0, 0), (2, 4, 19, 29), (2, 3, 7, 11)])
def test_a_member_that_is_not_finite_is_named(value: float, place: tuple[int, int, int, int]) -> None:
    broken = random_logits(4, 5, 20, 30)
    broken[place] = value
    assert reduce_logits(broken).finite.tolist() == [True, True, False, True]


def test_several_members_that_are_not_finite_are_all_named() -> None:
    broken = random_logits(4, 5, 20, 30)
    broken[1] = np.nan
    broken[3, :, 19] = np.inf
    assert reduce_logits(broken).finite.tolist() == [True, False, True, False]


@pytest.mark.parametrize("some", [1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (23, 45)])
def test_members_in_turns_come_to_the_same_bits(some: int, shape: tuple[int, int]) -> None:
    logits_mchw = random_logits(5, 19, *shape)
    sums = room_for_sums(5, 19, shape[0] * shape[1])
    for _ in range(2):  # the room is there for the next frame
        turns = (logits_mchw[m : m + some] for m in range(0, 5, some))
        found, expected = reduce_in_turns(turns, sums, class_maps=True), reduce_logits(logits_mchw, class_maps=True)
        for field in dataclasses.fields(found):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_whose_logits_are_broken_is_known_in_turns_too(value: float) -> None:
    broken = random_logits(4, 3, 6, 7)
    broken[1, 2, 5, 6] = value
    found = reduce_in_turns((broken[m : m + 1] for m in range(4)), room_for_sums(4, 3, 42))
    assert found.finite.tolist() == [True, False, True, True]


def test_a_member_that_never_comes_is_missed() -> None:
    logits_mchw = random_logits(3, 3, 2, 2)
    with pytest.raises(ValueError, match="expected 4 members, got 3"):
        reduce_in_turns([logits_mchw], room_for_sums(4, 3, 4))
