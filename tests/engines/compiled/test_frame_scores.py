"""From maps to a row: the quick ways say what the reference says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.engines.compiled.frame_scores import frame_row
from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.formulas import uncertainty
from fleetsift.engines.rows import FrameRow, gather_rows
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import F32
from fleetsift.schemas.status import Problem, Status
from tests.engines.closeness import assert_close, numbers
from tests.engines.drawn_logits import examples, logits, random_logits


@examples
@given(logits, st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.001, 0.01, 0.1, 0.34, 0.5, 0.9, 1.0]))
def test_a_row_is_the_references_row(logits_mchw: F32, rows: int, columns: int, top_share: float) -> None:
    classes = tuple(f"class {c}" for c in range(logits_mchw.shape[1]))
    regions = RegionSpec(rows=min(rows, logits_mchw.shape[2]), columns=min(columns, logits_mchw.shape[3]))
    row = frame_row(reduce_logits(logits_mchw), np.zeros(0, np.float32), regions, top_share)
    reference = uncertainty.score_frame(logits_mchw, regions, top_share)
    assert isinstance(reference, FrameRow)
    assert_close(gather_rows([row], classes, regions, 0), gather_rows([reference], classes, regions, 0))


@pytest.mark.parametrize("height", [3, 4, 7, 90])
@pytest.mark.parametrize("width", [4, 5, 11, 120])
def test_the_frames_mean_is_the_area_weighted_mean_of_its_cells(height: int, width: int) -> None:
    row = frame_row(
        reduce_logits(random_logits(3, 5, height, width)), np.zeros(0, np.float32), RegionSpec(rows=3, columns=4), 0.01
    )
    heights, widths = np.diff(np.arange(4) * height // 3), np.diff(np.arange(5) * width // 4)
    weights = np.outer(heights, widths).ravel() / (height * width)
    assert row.regions[0] @ weights == pytest.approx(row.statistics[0, 0])
    assert row.regions[1] @ weights == pytest.approx(row.statistics[2, 0])
    assert row.region_argmax is not None
    np.testing.assert_allclose(weights @ row.region_argmax, row.by_class[3], atol=1e-12)


def test_a_problem_keeps_its_place_and_has_no_numbers() -> None:
    regions = RegionSpec(rows=1, columns=2)
    row = frame_row(reduce_logits(random_logits(2, 3, 4, 4)), np.ones(5, np.float32), regions, 0.1)
    problem = Problem(Status.CORRUPT, "not an image")
    scores = gather_rows([row, problem, row], ("a", "b", "c"), regions, 5)
    assert scores.problems == (None, problem, None)
    for values in numbers(scores).values():
        assert np.isnan(values[1]).all()
        np.testing.assert_array_equal(values[0], values[2])
        assert np.isfinite(values[0]).all()
