"""Heat lies where it belongs on the frame, and leaves the frame to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from fleetsift.heat.overlay import SHADE, lay_over

GREY = np.full((40, 60, 3), 128, np.uint8)


def test_no_heat_is_the_dim_grey_frame() -> None:
    shown = lay_over(GREY, np.zeros((4, 6), np.float32), 1.0)
    assert shown.shape == GREY.shape
    assert shown.mean() == pytest.approx(SHADE * 128, abs=2)


def test_the_bright_end_and_more_outshine_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 255, GREY.shape, dtype=np.uint8)
    for nats in (0.2, 0.9):
        assert (lay_over(frame, np.full((4, 6), nats, np.float32), 0.2) == (252, 255, 164)).all()


def test_a_value_lies_over_its_own_part_of_the_frame_at_any_size() -> None:
    for height, width in ((4, 6), (40, 60), (80, 120)):
        values = np.zeros((height, width), np.float32)
        values[: height // 2, width // 2 :] = 1
        light = lay_over(GREY, values, 1.0).sum(axis=2)
        assert light[5:15, 40:50].min() > 600
        assert light[25:].max() < 200
        assert light[:, :20].max() < 200


def test_between_positions_heat_is_linear() -> None:
    ramp = np.array([[0.0, 1.0]], np.float32)
    frame = np.zeros((1, 40, 3), np.uint8)
    same = lay_over(frame, np.interp(np.arange(40) + 0.5, [10, 30], [0, 1])[None].astype(np.float32), 1.0)
    assert np.abs(lay_over(frame, ramp, 1.0).astype(int) - same).max() <= 1
