"""Histograms: the same bins for pool and batch, covering everything, each side's shares summing to one."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.report.charts import LEFT, RIGHT, plot
from fleetsift.report.histograms import BINS, bin_edges, histogram
from fleetsift.report.pool import Pool
from tests.report.drawn_fleet import FRAMES, Fleet

finite = st.floats(min_value=-1e300, max_value=1e300, exclude_min=True, exclude_max=True)


@given(finite, finite, st.booleans())
def test_edges_increase_and_cover_what_they_are_for(one: float, other: float, whole: bool) -> None:
    lowest, highest = sorted((one, other))
    edges = bin_edges(lowest, highest, whole=whole)
    assert edges[0] <= lowest <= highest <= edges[-1]
    assert all(left < right for left, right in pairwise(edges))
    assert len(edges) <= 2 * BINS


@given(st.integers(-50, 50), st.integers(0, 300))
def test_whole_numbers_never_lie_on_an_edge(lowest: int, span: int) -> None:
    assert all(edge % 1 == 0.5 for edge in bin_edges(lowest, lowest + span, whole=True))


@pytest.fixture
def pool(fleet: Fleet) -> Pool:
    return Pool(fleet.store, fleet.selection, labelled=())


@pytest.mark.parametrize("expression", ["entropy.mean", "mutual_information.top", "metadata.speed_kmh"])
def test_shares_of_each_side_sum_to_one(pool: Pool, expression: str) -> None:
    drawn = histogram(pool, expression)
    assert drawn is not None
    assert sum(drawn.pool) == pytest.approx(1)
    assert sum(drawn.batch) == pytest.approx(1)
    assert len(drawn.pool) == len(drawn.batch) == len(drawn.edges) - 1
    lowest, highest = pool.ask_one("SELECT min(x), max(x) FROM pool", x=expression)
    assert drawn.edges[0] <= lowest <= highest <= drawn.edges[-1]
    assert drawn.pool[0] > 0
    assert drawn.pool[-1] > 0


def test_each_whole_number_has_a_bin(pool: Pool) -> None:
    drawn = histogram(pool, "metadata.lanes", whole=True)
    assert drawn is not None
    assert drawn.edges == (0.5, 1.5, 2.5, 3.5, 4.5)
    counts: dict[int, int] = dict(pool.ask("SELECT x, count(*) FROM pool GROUP BY x", x="metadata.lanes"))
    assert drawn.pool == pytest.approx([counts[lanes] / FRAMES for lanes in (1, 2, 3, 4)])


def test_what_is_no_number_is_absent(pool: Pool) -> None:
    expression = "CASE WHEN picked THEN 'nan' WHEN metadata.night THEN 'inf' ELSE '2' END::DOUBLE"
    drawn = histogram(pool, expression.replace("picked", "mutual_information.mean > 0.05"))
    assert drawn is not None
    assert sum(drawn.pool) == pytest.approx(1)
    assert drawn.pool_absent > drawn.batch_absent > 0
    assert all(math.isfinite(share) for share in (*drawn.pool, *drawn.batch))


def test_no_value_no_histogram(pool: Pool) -> None:
    assert histogram(pool, "NULL::DOUBLE") is None


def test_a_batch_without_values_has_an_empty_side(pool: Pool) -> None:
    weakest = min(pool.ask("SELECT mutual_information.mean FROM pool WHERE picked"))[0]
    drawn = histogram(pool, f"CASE WHEN mutual_information.mean < {weakest} THEN 1 END")
    assert drawn is not None
    assert set(drawn.batch) == {0.0}
    assert "No frame of the batch has a value." in plot(drawn).description


def test_a_plot_stays_within_its_drawing(pool: Pool) -> None:
    drawn = histogram(pool, "mutual_information.mean")
    assert drawn is not None
    laid_out = plot(drawn)
    assert laid_out.pool[0].x == LEFT
    assert laid_out.pool[-1].x + laid_out.pool[-1].width == pytest.approx(RIGHT, abs=0.02)
    assert 2 <= len(laid_out.across) <= 6
    assert all(LEFT <= tick.at <= RIGHT for tick in laid_out.across)
    assert "fullest bin of the pool" in laid_out.description
