"""Paints what lies behind and below everything: sky, skyline, ground, road and its markings."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import ceil, floor

import numpy as np

from fleetsift.demo.drawing.camera import FAR_M, FOCAL_PX, HEIGHT, WIDTH
from fleetsift.demo.drawing.canvas import Canvas, Point
from fleetsift.demo.drawing.light import toned
from fleetsift.demo.world import KERB_M, LANE_M, ROAD_M, Colour, Label, Street, TimeOfDay, Weather

ASPHALT, PAVING, GRASS, PAINT = (98, 100, 106), (176, 170, 160), (112, 146, 84), (226, 226, 220)
KERB = (150, 146, 140)
ZEBRA_M = 3.2  # how deep a crossing is
FULL_TURN_PX = 2400.0  # how far the backdrop moves while the vehicle turns once round

# Where the edges of the bending street are cut into straight pieces, metres ahead.
_CUTS_M = (2.0, 4.0, 7.0, 11.0, 16.0, 23.0, 32.0, 45.0, 65.0, 95.0, 125.0, FAR_M)


def paint_sky(canvas: Canvas, street: Street, time_of_day: TimeOfDay, weather: Weather) -> None:
    """Clouds, or stars and the moon, or a low sun, and the far town in front of them."""
    heading_px = canvas.camera.heading_deg / 360 * FULL_TURN_PX
    horizon = canvas.camera.horizon_px
    rng = np.random.default_rng([street.skyline, 1])
    if weather is Weather.CLEAR and time_of_day is TimeOfDay.NIGHT:
        for u, v, size in rng.random((70, 3)) * (FULL_TURN_PX, horizon - 14, 0.5):
            glimmer = _on_frame(u - heading_px)
            canvas.ellipse((glimmer, v), (0.3 + size, 0.3 + size), (980, 980, 800), None, 0)
        moon = (_on_frame(rng.uniform(0, FULL_TURN_PX) - heading_px), 22.0)
        canvas.ellipse(moon, (6, 6), (1400, 1330, 880), Label.SKY, 0, shine=(70, 70, 60))
        canvas.ellipse((moon[0] + 2.6, moon[1] - 1.6), (5, 5), canvas.light.zenith, None, 900)
    elif weather is Weather.CLEAR and time_of_day is TimeOfDay.DUSK:
        sun = (_on_frame(rng.uniform(0, FULL_TURN_PX) - heading_px), horizon - 12)
        canvas.ellipse(sun, (9, 9), (386, 440, 300), Label.SKY, 0, shine=(110, 66, 26))
    for u, v, size in rng.random((9 if weather is Weather.CLEAR else 22, 3)):
        _paint_cloud(canvas, _on_frame(u * FULL_TURN_PX - heading_px), 8 + v * (horizon - 40), 9 + 17 * size)
    _paint_skyline(canvas, street.skyline, heading_px)


def paint_ground(canvas: Canvas, street: Street, weather: Weather) -> None:
    """Gardens, sidewalks and the road with everything drawn on it."""
    horizon = canvas.camera.horizon_px
    wet = 0.78 if weather is Weather.RAIN else 1.0
    asphalt, paving = toned(ASPHALT, wet), toned(PAVING, wet)
    bottom = [(0, horizon), (WIDTH, horizon), (WIDTH, HEIGHT), (0, HEIGHT)]
    canvas.polygon(bottom, GRASS, Label.VEGETATION, 60)
    _paint_strip(canvas, -KERB_M, KERB_M, paving, Label.SIDEWALK)
    _paint_strip(canvas, -ROAD_M - 0.2, ROAD_M + 0.2, KERB, None)
    _paint_strip(canvas, -ROAD_M, ROAD_M, asphalt, Label.ROAD)
    _paint_paving(canvas, paving)
    _paint_patches(canvas, street.skyline, asphalt)
    _paint_lanes(canvas)
    for s_m in street.crossings:
        _paint_crossing(canvas, s_m)


def _on_frame(u: float) -> float:
    """Wrap a column of the panorama to where it may be visible."""
    return (u + 80) % FULL_TURN_PX - 80


def _paint_cloud(canvas: Canvas, u: float, v: float, size: float) -> None:
    """Three overlapping puffs on a flat base; clouds keep their own colour in any light."""
    if u > WIDTH + 80:
        return
    light = canvas.light
    red, green, blue = (min(int(c / a), 2000) for c, a in zip(light.cloud, light.ambient, strict=True))
    for du, dv, a, b in ((-0.9, 0.1, 0.9, 0.30), (0.8, 0.15, 1.0, 0.27), (0.0, -0.12, 1.1, 0.42)):
        centre = (u + du * size, v + dv * size)
        canvas.ellipse(centre, (a * size, b * size), (red, green, blue), None, light.visibility_m * 0.25)


@lru_cache(maxsize=16)
def _rooftops(seed: int) -> list[tuple[float, float, float]]:
    """The far town as (left, width, height) in pixels of the panorama, with gaps where hills show."""
    rng = np.random.default_rng([seed, 2])
    roofs, left = [], 0.0
    while left < FULL_TURN_PX:
        width = rng.uniform(9, 26)
        roofs.append((left, width, float(rng.choice([rng.uniform(3, 9), rng.uniform(8, 22)], p=[0.7, 0.3]))))
        left += width
    return roofs


def _paint_skyline(canvas: Canvas, seed: int, heading_px: float) -> None:
    horizon = canvas.camera.horizon_px
    for left, width, height in _rooftops(seed):
        u = _on_frame(left - heading_px)
        if u < WIDTH:
            box = [(u, horizon - height), (u + width, horizon - height), (u + width, horizon + 1), (u, horizon + 1)]
            canvas.polygon(box, (120, 124, 140), Label.BUILDING, 100)


def _paint_strip(canvas: Canvas, left_m: float, right_m: float, colour: Colour, label: Label | None) -> None:
    """A band that follows the whole street."""
    s_m = canvas.camera.s_m
    edge: list[Point] = [(left_m, 0, s_m + cut) for cut in _CUTS_M]
    edge += [(right_m, 0, s_m + cut) for cut in reversed(_CUTS_M)]
    canvas.polygon([canvas.camera.project(*point) for point in edge], colour, label, 12)


def _mark(canvas: Canvas, left_m: float, right_m: float, s_m: float, end_m: float, colour: Colour) -> None:
    """A quadrilateral painted on the ground."""
    near = max(s_m, canvas.camera.s_m + 2.0)
    if end_m > near:
        corners = [(left_m, 0.0, near), (right_m, 0.0, near), (right_m, 0.0, end_m), (left_m, 0.0, end_m)]
        canvas.face(corners, colour, None)


def _paint_lanes(canvas: Canvas) -> None:
    """The dashed middle line, and thin lines that set the parking lanes apart."""
    here = canvas.camera.s_m
    for dash in range(ceil((here - 3) / 7), floor((here + 90) / 7)):
        _mark(canvas, -0.08, 0.08, dash * 7, dash * 7 + 3.2, PAINT)
    for x_m in (-2 * LANE_M - 0.1, 2 * LANE_M):
        for near, far in pairwise(_CUTS_M[:-3]):
            _mark(canvas, x_m, x_m + 0.1, here + near, here + far, (186, 186, 182))


def _paint_crossing(canvas: Canvas, s_m: float) -> None:
    """A zebra and the stop line of the own lane."""
    if not 0 < s_m + ZEBRA_M - canvas.camera.s_m < 100:
        return
    for stripe in range(11):
        left = -ROAD_M + 0.3 + stripe
        _mark(canvas, left, left + 0.5, s_m, s_m + ZEBRA_M, PAINT)
    _mark(canvas, 0.2, 2 * LANE_M, s_m - 1.6, s_m - 1.2, PAINT)


def _paint_paving(canvas: Canvas, paving: Colour) -> None:
    """Joints across the sidewalks, which show how fast the vehicle moves."""
    here, joint = canvas.camera.s_m, toned(paving, 0.88)
    for row in range(ceil(here / 2.0), floor((here + 32) / 2.0)):
        for left in (-KERB_M, ROAD_M + 0.2):
            _mark(canvas, left, left + KERB_M - ROAD_M - 0.2, row * 2.0, row * 2.0 + 0.08, joint)


def _paint_patches(canvas: Canvas, seed: int, asphalt: Colour) -> None:
    """Mended asphalt and manholes, one about every five metres, always in the same places of the street."""
    here = canvas.camera.s_m
    for place in range(ceil(here / 5), floor((here + 45) / 5)):
        draw = (place * 2654435761 + seed * 97) % 4096 / 4096
        x_m, s_m = -4.5 + 9 * draw, place * 5.0
        if place % 3 == 0:
            z = canvas.camera.distance_m(s_m)
            middle = canvas.camera.project(x_m, 0, s_m)
            canvas.ellipse(middle, (0.33 * FOCAL_PX / z, 0.45 * FOCAL_PX / z / z), toned(asphalt, 0.72), None, z)
        else:
            _mark(canvas, x_m, x_m + 0.7 + 2 * draw, s_m, s_m + 1.5 + 2 * draw, toned(asphalt, 0.93))
