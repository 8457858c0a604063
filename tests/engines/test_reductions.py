"""Every reduction against the float64 reference on the same logits, and what its rows must be by their formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.engines.rows import STATISTICS
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import F32, FrameScores, Task, has_independent_classes, quantities_of
from fleetsift.schemas.status import Problem, Status
from tests.engines.closeness import assert_close, assert_identical
from tests.engines.drawn_logits import logits, random_logits
from tests.engines.reductions import TASKS, WAYS, by_formulas, scores_of, spec_of

every_way = pytest.mark.parametrize("way", WAYS)
every_task = pytest.mark.parametrize("task", TASKS)
some = settings(deadline=None, max_examples=25, derandomize=True)  # a graph is opened for each

ROUNDING = 3e-6  # of float32 sums


def taken(logits_mchw: F32, task: Task) -> F32:
    """The logits as a task has them: a classified frame is one position."""
    return np.ascontiguousarray(logits_mchw[..., :1, :1]) if task == "classification" else logits_mchw


def score(way: str, logits_mchw: F32, task: Task, regions: RegionSpec | None = None) -> FrameScores:
    spec = spec_of(logits_mchw, task, regions)
    return scores_of(spec, WAYS[way](spec, logits_mchw[None]))


def most_of(task: Task, members: int, classes: int) -> dict[str, float]:
    """The bounds of SCORES.md."""
    if has_independent_classes(task):
        whole = classes * math.log(2)
        bounds = {"mutual_information": whole, "least_confidence": classes / 2}
    else:
        whole = math.log(classes)
        bounds = {
            "mutual_information": math.log(min(classes, members)),
            "variation_ratio": 1 - 1 / members,
            "least_confidence": 1 - 1 / classes,
            "margin": 1.0,
        }
    return bounds | {"entropy": whole, "expected_entropy": whole}


@every_way
@every_task
@some
@given(logits)
def test_a_row_is_the_references_at_every_position(way: str, task: Task, logits_mchw: F32) -> None:
    """The grid is as fine as the positions, so means over cells are the maps."""
    logits_mchw = taken(logits_mchw, task)
    regions = RegionSpec(rows=logits_mchw.shape[2], columns=logits_mchw.shape[3])
    scores = score(way, logits_mchw, task, regions)
    spec = spec_of(logits_mchw, task, regions)
    assert_close(scores, scores_of(spec, by_formulas(spec, logits_mchw[None])))
    for quantity, most in most_of(task, *logits_mchw.shape[:2]).items():
        for statistic in STATISTICS:
            value = getattr(getattr(scores, quantity), statistic)
            assert 0 <= value <= most * (1 + ROUNDING) + ROUNDING, (quantity, statistic)
    for quantity in ("entropy", "mutual_information"):
        shares = getattr(scores.by_class, quantity)
        assert shares.min() >= 0
        np.testing.assert_allclose(shares.sum(), getattr(scores, quantity).mean[0], rtol=ROUNDING, atol=ROUNDING)


@every_way
@every_task
@some
@given(logits, st.integers(2, 8))
def test_identical_members_have_no_mutual_information(way: str, task: Task, logits_mchw: F32, copies: int) -> None:
    scores = score(way, np.repeat(taken(logits_mchw, task)[:1], copies, axis=0), task)
    assert scores.mutual_information.max <= 1e-6 * (logits_mchw.shape[1] if has_independent_classes(task) else 1)


@every_way
@every_task
@some
@given(logits, st.permutations(range(6)))
def test_the_order_of_members_does_not_matter(way: str, task: Task, logits_mchw: F32, order: list[int]) -> None:
    logits_mchw = taken(logits_mchw, task)
    shuffled = np.ascontiguousarray(logits_mchw[[m for m in order if m < len(logits_mchw)]])
    assert_close(score(way, shuffled, task), score(way, logits_mchw, task), tolerance=ROUNDING)


@every_way
@every_task
@pytest.mark.parametrize("classes", [2, 19, 150])
def test_uniform_members_have_the_greatest_entropy(way: str, task: Task, classes: int) -> None:
    equal = np.zeros((3, classes, 2, 5), np.float32) + np.float32(0 if has_independent_classes(task) else 7)
    scores = score(way, taken(equal, task), task)
    most = most_of(task, 3, classes)
    np.testing.assert_allclose(scores.entropy.max, most["entropy"], rtol=1e-5)
    np.testing.assert_allclose(scores.least_confidence.max, most["least_confidence"], rtol=1e-5)
    assert scores.mutual_information.max <= 1e-6


@every_way
@every_task
@pytest.mark.parametrize("spread", [1e-2, 30.0, 1e4, 1e20])  # nearer each other, rounding says which class wins
def test_logits_of_any_size_are_reduced_as_the_reference_does(way: str, task: Task, spread: float) -> None:
    logits_mchw = taken(random_logits(8, 19, 20, 30, spread), task)
    spec = spec_of(logits_mchw, task)
    assert_close(score(way, logits_mchw, task), scores_of(spec, by_formulas(spec, logits_mchw[None])))


@every_way
@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
@pytest.mark.parametrize(("height", "width"), [(3, 4), (7, 11), (90, 121)])
def test_regions_average_to_the_frame(way: str, task: Task, height: int, width: int) -> None:
    logits_mchw = random_logits(3, 5, height, width)
    scores = score(way, logits_mchw, task, RegionSpec(rows=3, columns=4))
    heights, widths = np.diff(np.arange(4) * height // 3), np.diff(np.arange(5) * width // 4)
    weights = np.outer(heights, widths).ravel() / (height * width)
    found: Any = scores.regions
    for quantity in ("entropy", "mutual_information"):
        assert getattr(found, quantity)[0] @ weights == pytest.approx(getattr(scores, quantity).mean[0], rel=1e-5)
    if not has_independent_classes(task):
        np.testing.assert_allclose(weights @ found.argmax.reshape(12, 5), np.asarray(scores.by_class.argmax)[0], 1e-5)


@every_way
@every_task
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_makes_a_problem_of_its_frame_alone(way: str, task: Task, value: float) -> None:
    """A row depends on nothing else in its batch, broken or not."""
    frames = np.stack([taken(random_logits(3, 4, 6, 7, seed=seed), task) for seed in range(3)])
    frames[1, 2, 3, -1, -1] = value
    spec = spec_of(frames[0], task)
    rows = WAYS[way](spec, frames)
    assert rows[1] == Problem(Status.NON_FINITE, "members[2] (none.onnx): expected finite logits, got NaN or infinity")
    for i in (0, 2):
        alone = scores_of(spec, WAYS[way](spec, frames[i : i + 1]))
        assert_identical(alone, scores_of(spec, rows[i : i + 1]))


@every_way
@pytest.mark.parametrize("members", [1, 3, 8])
def test_the_rounding_of_many_independent_classes_does_not_add_up(way: str, members: int) -> None:
    """Eighty classes that are all rounded in one direction would make information of nothing, or less than none."""
    scores = score(way, np.repeat(random_logits(1, 80, 44, 44) - 3, members, axis=0), "detection_heatmap")
    assert 0 <= scores.mutual_information.mean <= 5e-7
    assert scores.mutual_information.max <= 3e-6
    assert scores.by_class.mutual_information.min() >= 0


def test_every_quantity_of_a_task_has_a_bound() -> None:
    for task in TASKS:
        assert set(most_of(task, 2, 3)) == set(quantities_of(task))
