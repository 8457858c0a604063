"""Thumbnails and heat maps: small, and all heat on one scale."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from fleetsift.errors import FrameError
from fleetsift.report.pictures import MAP_WIDTH, WIDTH, Picture, common_scale, draw, sketch
from fleetsift.selectors.batches.boxes import Box
from tests.report.drawn_fleet import drawn_picture


def decode(webp: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))


def flat(nats: float, size: tuple[int, int] = (90, 120)) -> Picture:
    """A mid-grey frame about which the networks disagree everywhere alike."""
    return Picture(np.full((360, 480, 3), 128, np.uint8), np.full(size, nats, np.float32))


def test_a_drawing_is_small_and_keeps_its_proportions() -> None:
    drawing = draw(sketch(flat(0.1)), scale=0.2)
    assert (drawing.width, drawing.height) == (WIDTH, 240)
    assert decode(drawing.thumbnail).shape == decode(drawing.heat_map).shape == (240, WIDTH, 3)
    assert len(drawing.thumbnail) + len(drawing.heat_map) < 20_000


def test_a_small_frame_keeps_its_size() -> None:
    drawing = draw(sketch(drawn_picture("frames/3.jpg")), scale=0.5)
    assert (drawing.width, drawing.height) == (240, 180)


def test_a_sketch_averages_a_fine_map() -> None:
    fine = np.zeros((360, 480), np.float32)
    fine[::3, ::3] = 0.9
    heat = sketch(Picture(np.zeros((360, 480, 3), np.uint8), fine)).heat
    assert heat.shape == (120, MAP_WIDTH)
    assert heat == pytest.approx(np.full((120, MAP_WIDTH), 0.1), abs=1e-6)


def test_the_scale_is_common_so_that_a_worse_frame_looks_worse() -> None:
    mild, bad = sketch(flat(0.05)), sketch(flat(0.4))
    scale = common_scale([mild, bad])
    assert scale == pytest.approx(0.4)
    shown = [decode(draw(one, scale).heat_map).mean() for one in (mild, bad)]
    assert shown[1] > shown[0] + 80


def test_one_bright_spot_does_not_take_the_scale() -> None:
    heat = np.full((100, 100), 0.1, np.float32)
    heat[0, 0] = 1.0
    assert common_scale([sketch(Picture(np.zeros((9, 9, 3), np.uint8), heat))]) == pytest.approx(0.1)


def test_where_nobody_disagrees_the_heat_map_is_the_dark_frame() -> None:
    calm = sketch(flat(0.0))
    scale = common_scale([calm])
    assert scale == math.log(2)
    heat_map = decode(draw(calm, scale).heat_map)
    assert np.ptp(heat_map.mean(axis=(0, 1))) < 6
    assert heat_map.mean() == pytest.approx(0.42 * 128, abs=6)


def test_a_map_that_is_no_number_is_a_frame_without_picture() -> None:
    with pytest.raises(FrameError, match="no number"):
        sketch(flat(math.nan))


@pytest.mark.parametrize(
    ("frame", "heat", "field"),
    [
        (np.zeros((4, 4, 3), np.float32), np.zeros((2, 2), np.float32), "frame"),
        (np.zeros((4, 4), np.uint8), np.zeros((2, 2), np.float32), "frame"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((2, 2)), "heat"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((0, 2), np.float32), "heat"),
    ],
)
def test_a_picture_is_checked_once(frame: np.ndarray, heat: np.ndarray, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^Picture\.{field}: expected"):
        Picture(frame, heat)


def test_a_region_is_outlined_and_what_lies_around_it_is_darker() -> None:
    frame = np.full((40, 80, 3), 200, np.uint8)
    heat = np.zeros((10, 20), np.float32)
    plain, marked = (
        np.asarray(Image.open(io.BytesIO(draw(sketch(Picture(frame, heat, box)), 1.0).thumbnail)).convert("RGB"))
        for box in (None, Box(0.5, 0.25, 0.25, 0.5))
    )
    assert abs(marked[20, 50].astype(int) - plain[20, 50]).max() < 12
    assert marked[5, 5].max() < 0.7 * plain[5, 5].min()
    assert marked[11, 50].min() > 220
