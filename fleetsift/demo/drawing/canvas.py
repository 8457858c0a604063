"""Three sheets that every shape is painted on at once: its colour, its label, and the light it gives off.

Nearer shapes cover farther ones on all three, so labels and lamps are hidden exactly where their things are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import pi

import numpy as np
from PIL import Image, ImageDraw

from fleetsift.demo.drawing.camera import FOCAL_PX, HEIGHT, WIDTH, Camera, Pixel
from fleetsift.demo.drawing.light import Light
from fleetsift.demo.world import Colour, Label

CLEAR_SIGHT_M = 50.0  # farther away, details are smaller than a pixel
ROUND = tuple(k * pi / 5 for k in range(10))  # angles at which a wheel is cut into straight pieces
FINE = 2  # the colour sheet is painted this much larger and reduced, which smooths its edges

Point = tuple[float, float, float]  # x_m, y_m, s_m


class Canvas:
    """Paints shapes in the order of their distance, farthest first."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self.colours = _sky(light, round(camera.horizon_px)).copy()
        self.labels = Image.new("L", (WIDTH, HEIGHT), int(Label.SKY))
        self.shine = Image.new("RGB", (WIDTH, HEIGHT))
        self._colour_pen = ImageDraw.Draw(self.colours)
        self._label_pen = ImageDraw.Draw(self.labels)
        self._shine_pen = ImageDraw.Draw(self.shine)
        self._is_dark = light.lamps > 0
        self._shades: dict[tuple[Colour, int], Colour] = {}

    def polygon(
        self,
        points: Sequence[Pixel],
        colour: Colour,
        label: Label | None,
        distance_m: float,
        shine: Colour | None = None,
    ) -> None:
        """Fill a polygon, given in pixels; a label of None is paint on something that is labelled already."""
        if _is_beside(points):
            return
        fine = [(FINE * u - 0.5, FINE * v - 0.5) for u, v in points]
        self._colour_pen.polygon(fine, fill=self._shade(colour, distance_m))
        if label is not None:
            coarse = [(u - 0.5, v - 0.5) for u, v in points]
            self._label_pen.polygon(coarse, fill=int(label))
        if self._is_dark and (label is not None or shine is not None):
            coarse = [(u - 0.5, v - 0.5) for u, v in points]
            self._shine_pen.polygon(coarse, fill=shine or (0, 0, 0))

    def face(self, points: Sequence[Point], colour: Colour, label: Label | None, shine: Colour | None = None) -> None:
        """Fill a polygon given in metres, as far away as its nearest corner."""
        project = self.camera.project
        nearest = self.camera.distance_m(min(point[2] for point in points))
        self.polygon([project(*point) for point in points], colour, label, nearest, shine)

    def disc(
        self,
        centre: Point,
        radius_m: tuple[float, float],
        colour: Colour,
        label: Label | None,
        shine: Colour | None = None,
    ) -> None:
        """Fill an ellipse that faces the camera; the radii are across and up, in metres."""
        u, v = self.camera.project(*centre)
        distance_m = self.camera.distance_m(centre[2])
        scale = FOCAL_PX / distance_m
        self.ellipse((u, v), (radius_m[0] * scale, radius_m[1] * scale), colour, label, distance_m, shine)

    def ellipse(
        self,
        centre: Pixel,
        radius_px: tuple[float, float],
        colour: Colour,
        label: Label | None,
        distance_m: float,
        shine: Colour | None = None,
    ) -> None:
        """Fill an ellipse given in pixels."""
        (u, v), (a, b) = centre, radius_px
        if u + a < 0 or u - a > WIDTH or v + b < 0:
            return
        box = (u - a, v - b, u + a, v + b)
        fine = [FINE * edge - 0.5 for edge in box]
        coarse = [edge - 0.5 for edge in box]
        self._colour_pen.ellipse(fine, fill=self._shade(colour, distance_m))
        if label is not None:
            self._label_pen.ellipse(coarse, fill=int(label))
        if self._is_dark and (label is not None or shine is not None):
            self._shine_pen.ellipse(coarse, fill=shine or (0, 0, 0))

    def limb(self, points: Sequence[Point], thickness_m: float, colour: Colour, label: Label | None) -> None:
        """Draw a stroke through points given in metres, as thick as it would look from there."""
        project = self.camera.project
        distance_m = self.camera.distance_m(points[0][2])
        width_px = thickness_m * FOCAL_PX / distance_m
        pixels = [project(*point) for point in points]
        fine = [(FINE * u - 0.5, FINE * v - 0.5) for u, v in pixels]
        coarse = [(u - 0.5, v - 0.5) for u, v in pixels]
        shade = self._shade(colour, distance_m)
        self._colour_pen.line(fine, fill=shade, width=max(1, round(FINE * width_px)), joint="curve")
        if label is not None:
            width = max(1, round(width_px))
            self._label_pen.line(coarse, fill=int(label), width=width)
            if self._is_dark:
                self._shine_pen.line(coarse, fill=(0, 0, 0), width=width)

    def _shade(self, colour: Colour, distance_m: float) -> Colour:
        """The colour in this light, to the metre; most shapes of a scene share a few."""
        key = (colour, int(distance_m))
        shade = self._shades.get(key)
        if shade is None:
            shade = self._shades[key] = self.light.shade(colour, distance_m)
        return shade


def _is_beside(points: Sequence[Pixel]) -> bool:
    """Whether a shape lies wholly to the left, to the right or above the frame."""
    columns = [point[0] for point in points]
    return max(columns) < 0 or min(columns) > WIDTH or max(point[1] for point in points) < 0


@lru_cache(maxsize=64)
def _sky(light: Light, horizon_px: int) -> Image.Image:
    """The empty sheet of colours: a sky that brightens towards the horizon."""
    rise = np.clip(np.arange(HEIGHT * FINE) / (horizon_px * FINE), 0, 1)[:, None] ** 1.4
    column = np.asarray(light.zenith) * (1 - rise) + np.asarray(light.horizon) * rise
    sheet = np.broadcast_to(column[:, None, :], (HEIGHT * FINE, WIDTH * FINE, 3))
    return Image.fromarray(np.ascontiguousarray(sheet, dtype=np.uint8))
