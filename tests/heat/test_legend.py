"""The legend fits its frame, from thumbnails to full cameras."""

from __future__ import annotations

import numpy as np
import pytest

from fleetsift.heat.colours import colour
from fleetsift.heat.legend import Legend, draw_legend


def legend(frame: str = "0016E5_07959") -> Legend:
    return Legend("mutual information", frame, 0.26, "camvid-ca0c725cac6a, logits at 480 x 360")


@pytest.mark.parametrize("width", [8, 64, 480, 2048])
def test_it_is_as_wide_as_the_frame(width: int) -> None:
    strip = draw_legend(legend("a very long name of a frame" * 9), width)
    assert strip.shape[1:] == (width, 3)
    assert strip.dtype == np.uint8
    assert strip.shape[0] < max(70, width / 5)


def test_it_shows_the_colours_in_order() -> None:
    strip = draw_legend(legend(), 480)
    ends = colour(np.array([0.0, 0.5, 1.0])).astype(np.uint8)
    bar = strip[int(np.abs(strip[:, 473].astype(int) - ends[2]).sum(axis=1).argmin())]
    for x, expected in zip((6, 240, 473), ends, strict=True):
        assert np.abs(bar[x].astype(int) - expected).max() < 8


def test_names_are_told_apart_by_their_end() -> None:
    names = ["drive/" * 30 + end for end in ("0001", "0002")]
    assert (draw_legend(legend(names[0]), 320) != draw_legend(legend(names[1]), 320)).any()
