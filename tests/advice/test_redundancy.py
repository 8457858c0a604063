"""What is measured of a pool: repetition is found however it is cut into sessions, and what follows from it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fleetsift.advice.recommend import REDUNDANT
from fleetsift.advice.redundancy import count_distinct, measure_redundancy
from fleetsift.advice.sample import Sample
from fleetsift.selectors.pools.pool import F32


def sample(points: F32, sessions: int) -> Sample:
    """Frames in sessions of about equal length, with a score each."""
    n = len(points)
    codes = np.arange(n) * sessions // n
    names = [f"f-{i:05d}" for i in range(n)]
    return Sample(
        frame_id=pa.array(names),
        session_id=pa.array([f"s-{code}" for code in codes]),
        uri=pa.array(names),
        sessions=codes,
        embedding=np.ascontiguousarray(points, np.float32),
        quantity="mutual_information",
        score=np.random.default_rng(1).random(n),
        pool_frames=n,
        pool_sessions=sessions,
    )


def drives(count: int, length: int, step: float) -> F32:
    """Random walks from places far apart: a small step is a slow video."""
    random = np.random.default_rng(3)
    starts = random.normal(size=(count, 1, 16))
    return (starts + step * random.normal(size=(count, length, 16)).cumsum(axis=1)).reshape(-1, 16).astype(np.float32)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(0, 9).map(float)),
    st.integers(1, 6),
)
def test_what_is_distinct_is_apart_and_covers_the_rest(points: F32, alike_below: int) -> None:
    kept: list[F32] = []
    for point in points:
        if all(((point - other) ** 2).sum() >= alike_below**2 for other in kept):
            kept.append(point)
    assert count_distinct(points, alike_below) == len(kept)


def test_independent_frames_are_distinct_and_slow_video_is_not() -> None:
    independent = measure_redundancy(sample(drives(400, 1, 1.0), 20), 40)
    assert independent.share_distinct > 0.9 > REDUNDANT
    video = measure_redundancy(sample(drives(8, 50, 0.02), 8), 40)
    assert video.share_distinct < REDUNDANT
    assert video.within_sessions is not None
    assert video.between_sessions is not None
    assert video.within_sessions < video.between_sessions / 5


def test_repeating_every_frame_halves_what_is_distinct() -> None:
    points = drives(200, 1, 1.0)
    once = measure_redundancy(sample(points, 10), 20)
    twice = measure_redundancy(sample(np.repeat(points, 2, axis=0), 10), 20)
    assert abs(twice.share_distinct - once.share_distinct / 2) < 0.01
    assert twice.within_sessions == 0


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_neither_scale_nor_the_cut_into_sessions_matters(scale: float) -> None:
    points = drives(8, 50, 0.05)
    measured = measure_redundancy(sample(points, 8), 40)
    for other in (sample(points * np.float32(scale), 8), sample(points, 40)):
        assert abs(measure_redundancy(other, 40).distinct - measured.distinct) <= 2


def test_one_session_and_lonely_frames_are_measured_too() -> None:
    assert measure_redundancy(sample(drives(4, 10, 0.05), 1), 5).between_sessions is None
    alone = measure_redundancy(sample(drives(12, 1, 1.0), 12), 5)
    assert alone.within_sessions is None
    still = measure_redundancy(sample(np.zeros((6, 3), np.float32), 2), 2)
    assert still.alike_below == 0


def test_strategies_are_compared_at_every_budget() -> None:
    found = measure_redundancy(sample(drives(8, 50, 0.02), 8), 25)
    by = {(row.strategy, row.budget): row for row in found.budgets}
    assert {budget for _, budget in by} == {4, 12, 25, 40, 120}
    assert by["coreset", 25].distinct >= by["random", 25].distinct
    assert all(row.distinct <= row.budget for row in found.budgets)
    best = max(found.budgets, key=lambda row: (row.budget == 25, row.score))
    assert best.strategy == "bald"
