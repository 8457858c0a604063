"""Canary frames: the same everywhere, unlike each other, and more than noise."""

from __future__ import annotations

import numpy as np
import pytest

from fleetsift.engines.truth.canary import canary_frames


def test_a_frame_is_the_same_whatever_is_drawn_beside_it() -> None:
    np.testing.assert_array_equal(canary_frames(5, (40, 60))[:2], canary_frames(2, (40, 60)))


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (90, 30), (360, 480)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    frames = canary_frames(2, size)
    assert frames.shape == (2, *size, 3)
    assert frames.dtype == np.uint8


def test_frames_differ_and_none_is_flat() -> None:
    frames = canary_frames(12, (90, 120)).astype(np.float64)
    assert frames.std(axis=(1, 2, 3)).min() > 5
    assert np.abs(frames[1:] - frames[:-1]).mean(axis=(1, 2, 3)).min() > 10
    assert np.ptp(frames.mean(axis=(1, 2, 3))) > 50  # dark and light ones


def test_neighbouring_pixels_are_alike_as_in_pictures() -> None:
    for frame in canary_frames(6, (90, 120)).astype(np.float64):
        grey = frame.mean(axis=2)
        assert np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1] > 0.8
