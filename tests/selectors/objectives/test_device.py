"""Diversity with torch: on any device the distances, and so the picks, of the processor alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.selectors.objectives.device import OnDevice, device_for
from fleetsift.selectors.objectives.diversity import in_tiles, see_centres

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads for products of a few vectors cost a hundred times what they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@given(
    st.integers(1, 60),
    st.integers(0, 70),
    st.integers(1, 40),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.sampled_from([1e-3, 1.0, 1e6]),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_torch_sees_to_the_last_bit_what_the_processor_sees(
    points: int, centres: int, dimensions: int, offset: float, scale: float, seed: int
) -> None:
    """Also where all vectors lie so close together, far from zero, that products can tell nothing."""
    rng = np.random.default_rng(seed)
    vectors = ((rng.integers(-4, 5, (points, dimensions)) + offset) * scale).astype(np.float32)
    seen = vectors[rng.integers(0, points, centres)] + rng.integers(0, 2, (centres, dimensions)).astype(np.float32)
    ours = (np.full(points, np.inf, np.float32), np.full(points, -1, np.int32))
    theirs = (ours[0].copy(), ours[1].copy())
    device = OnDevice(vectors, "cpu")
    for first in (0, centres // 2):  # the second half is seen again, and changes nothing
        already = np.full(points, first, np.int32)
        see_centres(vectors, np.arange(points), in_tiles(seen), centres, already, *ours)
        device.see_all(vectors, seen[first:], first, *theirs)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_products_spare_nearly_every_distance() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2000, 64)).astype(np.float32)
    squared, nearest = np.full(2000, np.inf, np.float32), np.full(2000, -1, np.int32)
    device = OnDevice(vectors, "cpu")
    device.see_all(vectors, vectors[:200], 0, squared, nearest)
    rows, _ = device.pairs(0, 2000, vectors[200:400], squared)
    assert len(rows) < 0.05 * 2000 * 200


def test_precision_that_was_set_stays_set_and_is_not_used() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        vectors = np.eye(4, dtype=np.float32)
        OnDevice(vectors, "cpu").pairs(0, 4, vectors, np.ones(4, np.float32))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_small_pool_stays_on_the_processor() -> None:
    assert device_for(np.zeros((10, 4), np.float32)) is None
