"""The reference itself: values worked out by hand, bounds, and other people's mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.engines.formulas import uncertainty
from fleetsift.engines.formulas.uncertainty import frame_maps
from fleetsift.engines.rows import FrameRow
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import F32, QUANTITIES, Task
from fleetsift.schemas.status import Problem, Status
from tests.engines.drawn_logits import examples, logits, random_logits

WHOLE = RegionSpec(rows=1, columns=1)


def logits_of(*probabilities: list[float]) -> F32:
    """Logits (M, C, 1, 1) of members with these probabilities at the only position."""
    with np.errstate(divide="ignore"):
        values = np.maximum(np.log(np.array(probabilities, np.float64)), -1e4)
    return values.astype(np.float32)[:, :, None, None]


def quantities(logits_mchw: F32) -> dict[str, float]:
    """The six quantities of a frame with one position."""
    row = uncertainty.score_frame(logits_mchw, WHOLE, 1.0)
    assert isinstance(row, FrameRow)
    return dict(zip(QUANTITIES, row.statistics[:, 0], strict=True))


def test_certain_members_that_disagree_are_all_mutual_information() -> None:
    assert quantities(logits_of([1, 0], [0, 1])) == pytest.approx(
        {
            "entropy": math.log(2),
            "expected_entropy": 0,
            "mutual_information": math.log(2),
            "variation_ratio": 0.5,
            "least_confidence": 0.5,
            "margin": 1,
        }
    )


def test_unsure_members_that_agree_have_no_mutual_information() -> None:
    found = quantities(logits_of([0.5, 0.25, 0.25], [0.5, 0.25, 0.25]))
    assert found == pytest.approx(
        {
            "entropy": 1.5 * math.log(2),
            "expected_entropy": 1.5 * math.log(2),
            "mutual_information": 0,
            "variation_ratio": 0,
            "least_confidence": 0.5,
            "margin": 0.75,
        },
        abs=1e-7,
    )


def test_uniform_members_have_the_greatest_entropy() -> None:
    assert quantities(logits_of([0.2] * 5, [0.2] * 5))["entropy"] == pytest.approx(math.log(5))


@examples
@given(logits)
def test_quantities_lie_within_their_bounds(logits_mchw: F32) -> None:
    members, classes = logits_mchw.shape[:2]
    log_probs = uncertainty.log_softmax(logits_mchw)
    most = {
        "entropy": math.log(classes),
        "expected_entropy": math.log(classes),
        "mutual_information": math.log(min(classes, members)),
        "variation_ratio": 1 - 1 / members,
        "least_confidence": 1 - 1 / classes,
        "margin": 1,
    }
    for name, formula in uncertainty.QUANTITY_OF.items():
        values = formula(log_probs)
        assert values.min() > -1e-12
        assert values.max() < most[name] + 1e-12


@examples
@given(logits)
def test_class_shares_sum_to_the_whole(logits_mchw: F32) -> None:
    log_probs = uncertainty.log_softmax(logits_mchw)
    np.testing.assert_allclose(
        uncertainty.class_information(log_probs).sum(axis=0), uncertainty.mutual_information(log_probs), atol=1e-12
    )
    np.testing.assert_allclose(uncertainty.mean_probability(log_probs).sum(axis=0), 1)


@examples
@given(logits, st.integers(1, 6), st.integers(1, 8))
def test_cells_average_to_the_frame(logits_mchw: F32, rows: int, columns: int) -> None:
    height, width = logits_mchw.shape[2:]
    regions = RegionSpec(rows=min(rows, height), columns=min(columns, width))
    entropy = uncertainty.predictive_entropy(uncertainty.log_softmax(logits_mchw))
    areas = uncertainty.region_means(np.ones((height, width)), regions)
    assert (areas == 1).all()
    heights = np.diff(np.arange(regions.rows + 1) * height // regions.rows)
    widths = np.diff(np.arange(regions.columns + 1) * width // regions.columns)
    weights = np.outer(heights, widths).ravel() / (height * width)
    assert uncertainty.region_means(entropy, regions) @ weights == pytest.approx(entropy.mean())


def test_members_split_evenly_but_for_rounding_leave_the_first_class() -> None:
    split = np.concatenate([logits_of([1, 0]), logits_of([0, 1])])
    split[0, 1] = np.float32(-23)  # the first member is not quite certain: P is 1e-10 off a half
    assert uncertainty.most_probable(uncertainty.log_softmax(split)) == 0
    assert uncertainty.most_probable(uncertainty.log_softmax(logits_of([0.4, 0.6]))) == 1


def test_top_is_the_mean_over_the_highest_share_rounded_up() -> None:
    values = np.arange(1.0, 11.0)
    assert uncertainty.top_mean(values, 0.1) == 10
    assert uncertainty.top_mean(values, 0.11) == 9.5
    assert uncertainty.top_mean(values, 1.0) == values.mean()


@examples
@given(logits, st.floats(1e-3, 2), st.booleans())
def test_logits_that_are_off_move_entropies_no_further_than_is_proved(logits_mchw: F32, off: float, up: bool) -> None:
    for moved, furthest in moved_by(logits_mchw, off if up else -off):
        assert moved <= furthest + 1e-9


def test_what_is_proved_of_logits_that_are_off_is_nearly_reached() -> None:
    """By one class before 149 others; and by more than half by five members, each for a class of its own."""
    ahead = np.zeros((1, 150, 1, 200), np.float32)
    ahead[0, 0] = np.linspace(0, 12, 200)
    (moved, furthest), *_ = moved_by(ahead, 1e-3)
    assert 0.95 < moved / furthest <= 1
    apart = np.eye(5, dtype=np.float32)[:, :, None, None] * np.linspace(0, 20, 200, dtype=np.float32)
    _, (moved, furthest), _ = moved_by(apart, 1e-3)
    assert 0.5 < moved / furthest <= 1


def moved_by(logits_mchw: F32, off: float) -> list[tuple[float, float]]:
    """How far expected entropy, mutual information and entropy move where each logit is off in the direction that
    moves them most, and how far they can, as docs/engines.md says of float16.
    """
    log_p = uncertainty.log_softmax(logits_mchw)
    p, (members, classes) = np.exp(log_p), logits_mchw.shape[:2]
    log_mean = np.broadcast_to(np.log(p.mean(axis=0) + 1e-300), p.shape)
    expected_most = abs(off) * math.sqrt(1 + math.log(classes - 1) ** 2 / 4)
    information_most = abs(off) * 2 * lambert_w(members / math.e)
    slopes = {
        uncertainty.expected_entropy: (-log_p, expected_most),
        uncertainty.mutual_information: (log_p - log_mean, information_most),
        uncertainty.predictive_entropy: (-log_mean, expected_most + information_most),
    }
    found = []
    for formula, (slope, furthest) in slopes.items():
        direction = np.sign(slope - (p * slope).sum(axis=1, keepdims=True))
        moved = uncertainty.log_softmax(logits_mchw.astype(np.float64) + off * direction)
        found.append((np.abs(formula(moved) - formula(log_p)).max(), furthest))
    return found


def lambert_w(x: float) -> float:
    """The w of w e^w = x, for x > 0."""
    w = math.log1p(x)
    for _ in range(50):
        w -= (w * math.exp(w) - x) / (math.exp(w) * (1 + w))
    return w


class TestOtherPeoplesMistakes:
    """SCORES.md lists them; the numbers are its own."""

    def test_1_probabilities_are_not_softmaxed_again(self) -> None:
        bits = quantities(logits_of([0.99, 0.01]))["entropy"] / math.log(2)
        assert bits == pytest.approx(0.081, abs=5e-4)  # softmaxed twice it would be 0.846

    def test_2_members_are_averaged_before_the_entropy(self) -> None:
        found = quantities(logits_of([0.9, 0.1], [0.1, 0.9]))
        assert found["entropy"] == pytest.approx(math.log(2))
        assert found["entropy"] > found["expected_entropy"] + 0.3

    def test_2_positions_are_averaged_after_the_entropy(self) -> None:
        sure_of_either = np.concatenate([logits_of([1, 0]), logits_of([0, 1])], axis=3)
        assert quantities(sure_of_either)["entropy"] == pytest.approx(0)

    def test_3_a_frame_is_not_scaled_by_its_own_range(self) -> None:
        faint = random_logits(3, 4, 6, 6, spread=0.2)
        clear = faint * 20
        assert quantities(faint)["entropy"] > quantities(clear)["entropy"] + 0.3

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_5_a_number_that_is_not_finite_is_a_problem_and_no_score(self, value: float) -> None:
        broken = random_logits(3, 4, 6, 6)
        broken[1, 2, 3, 4] = value
        row = uncertainty.score_frame(broken, WHOLE, 0.01)
        assert isinstance(row, Problem)
        assert row.status is Status.NON_FINITE
        assert "members[1]" in row.reason


@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_a_frame_in_blocks_of_rows_is_the_frame_at_once(task: Task) -> None:
    logits_mchw = random_logits(3, 4, 13, 7)
    maps_of = uncertainty.independent_maps if task == "detection_heatmap" else uncertainty.softmax_maps
    five_rows = 3 * 4 * 7 * 5  # then five again, then three
    for found, expected in zip(frame_maps(logits_mchw, task, five_rows), maps_of(logits_mchw), strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
