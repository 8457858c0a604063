"""Paints houses: a wall along the road with its windows, a gable, and a shop on the ground floor."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fleetsift.demo.drawing.camera import WIDTH
from fleetsift.demo.drawing.canvas import CLEAR_SIGHT_M, Canvas
from fleetsift.demo.drawing.light import toned
from fleetsift.demo.world import KERB_M, Building, Colour, Label

STOREY_M = 3.3
GLASS, FRAME = (92, 112, 134), (222, 218, 208)
LIT: tuple[Colour, ...] = ((217, 175, 102), (213, 190, 143), (192, 151, 82))


def paint_building(canvas: Canvas, house: Building) -> None:
    """Paint a house: the gable towards the camera, the wall along the road, and what is on it."""
    x_m = house.side * (KERB_M + house.setback_m)
    near = max(house.s_m, canvas.camera.s_m + 2.0)
    outside = x_m + house.side * 12
    gable = [(x_m, 0.0, near), (outside, 0.0, near), (outside, house.height_m, near), (x_m, house.height_m, near)]
    wall = [
        (x_m, 0.0, near),
        (x_m, 0.0, house.end_m),
        (x_m, house.height_m, house.end_m),
        (x_m, house.height_m, near),
    ]
    canvas.face(gable, toned(house.wall, 0.78), Label.BUILDING)
    canvas.face(wall, toned(house.wall, 0.94 if house.side < 0 else 1.04), Label.BUILDING)
    if near - canvas.camera.s_m < CLEAR_SIGHT_M * 1.6:
        _paint_windows(canvas, house, x_m, near)
    if near - canvas.camera.s_m < CLEAR_SIGHT_M:
        _paint_trim(canvas, house, x_m, near)


def _paint_trim(canvas: Canvas, house: Building, x_m: float, near: float) -> None:
    """The cornice below the roof, the plinth, and a shop's awning."""
    edge = toned(house.wall, 0.7)
    top = house.height_m
    _band(canvas, x_m, near, house.end_m, top - 0.5, top, edge)
    if house.shop is None:
        _band(canvas, x_m, near, house.end_m, 0, 0.6, edge)
        return
    open_late = house.seed % 3 > 0
    panes = max(int((house.end_m - house.s_m) / 2.4), 1)
    pitch_m = (house.end_m - house.s_m) / panes
    for pane in range(panes):
        left = max(house.s_m + (pane + 0.08) * pitch_m, near)
        right = house.s_m + (pane + 0.92) * pitch_m
        if right > near:
            _band(canvas, x_m, left, right, 0.5, 2.5, toned(GLASS, 0.8), shine=(168, 142, 92) if open_late else None)
    inside = x_m - house.side * 1.0
    awning = [(x_m, 3.1, near), (x_m, 3.1, house.end_m), (inside, 2.5, house.end_m), (inside, 2.5, near)]
    canvas.face(awning, house.shop, Label.BUILDING)


def _band(
    canvas: Canvas,
    x_m: float,
    s_m: float,
    end_m: float,
    low_m: float,
    high_m: float,
    colour: Colour,
    shine: Colour | None = None,
) -> None:
    """A stripe along a wall that faces the road."""
    corners = [(x_m, low_m, s_m), (x_m, low_m, end_m), (x_m, high_m, end_m), (x_m, high_m, s_m)]
    canvas.face(corners, colour, None, shine)


@lru_cache(maxsize=4096)
def _lit_windows(seed: int, storeys: int, columns: int) -> NDArray[np.uint8]:
    """Which windows are lit, (storeys, columns): 0 dark, otherwise 1 + the index of its colour."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(1, 1 + len(LIT), (storeys, columns), dtype=np.uint8)
    return colours * (rng.random((storeys, columns)) < 0.42)


def _paint_windows(canvas: Canvas, house: Building, x_m: float, near: float) -> None:
    storeys = max(int((house.height_m - 0.6) / STOREY_M), 1)
    columns = max(int((house.end_m - house.s_m) / 2.8), 1)
    lit = _lit_windows(house.seed, storeys, columns)
    pitch_m = (house.end_m - house.s_m) / columns
    ground = 0 if house.shop is None else 1
    for column in range(columns):
        left = house.s_m + (column + 0.25) * pitch_m
        right = left + 0.5 * pitch_m
        if left < near:
            continue
        if not -20 < canvas.camera.project(x_m, 0, right)[0] < WIDTH + 20:
            continue  # the far edge of a column of windows is the one nearest to the middle of the frame
        close = left - canvas.camera.s_m < CLEAR_SIGHT_M * 0.6
        for storey in range(ground, storeys):
            low = storey * STOREY_M + 1.1
            if close:
                _band(canvas, x_m, left - 0.14, right + 0.14, low - 0.14, low + 1.74, FRAME)
            lamp = LIT[lit[storey, column] - 1] if lit[storey, column] else None
            _band(canvas, x_m, left, right, low, low + 1.6, GLASS, shine=lamp)
