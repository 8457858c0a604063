"""From painted sheets to what a sensor reads: headlights and street lamps, glow, wet roads, rain, noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fleetsift.demo.drawing.camera import FOCAL_PX, HEIGHT, WIDTH, Camera
from fleetsift.demo.drawing.canvas import FINE, Canvas
from fleetsift.demo.world import Label, Lamp, Weather

F32 = NDArray[np.float32]

COARSE = 4  # soft light is computed this much smaller
SHOWER = 150  # streaks of rain in a frame


def expose(
    canvas: Canvas, lamps: tuple[Lamp, ...], weather: Weather, tint: tuple[float, float, float], seed: int
) -> NDArray[np.uint8]:
    """The picture (height, width, 3), RGB: light and weather laid over the painted sheets.

    `tint` is the gain of the sensor's three channels; `seed` moves rain and noise.
    """
    rng = np.random.default_rng(seed)
    picture = np.asarray(canvas.colours.reduce(FINE), dtype=np.float32)
    if canvas.light.lamps:
        picture = _light_up(picture, canvas, lamps)
    if weather is Weather.RAIN:
        picture = _mirror_in_road(picture, np.asarray(canvas.labels) == Label.ROAD, canvas.camera)
        picture += _rain(rng, brightness=30 if canvas.light.lamps < 0.9 else 16)
    picture *= _vignette() * np.asarray(tint, dtype=np.float32)
    picture += _noise(rng) * canvas.light.noise
    exposed: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return exposed


def _light_up(picture: F32, canvas: Canvas, lamps: tuple[Lamp, ...]) -> F32:
    """Own headlights, pools under street lamps, everything that shines, and its glow."""
    power = canvas.light.lamps
    pools = _soften(_pools(canvas.camera, lamps), 2)
    lit = 1 + power**2 * (_headlights() + pools * np.float32(2.0 / 255))
    shine = np.asarray(canvas.shine, dtype=np.float32) * np.float32(power**0.5)
    glow = _soften(canvas.shine.resize((WIDTH // COARSE, HEIGHT // COARSE), Image.Resampling.BOX), 3)
    lit_picture: F32 = np.maximum(picture * lit, shine) + glow * np.float32(0.9 * power)
    return lit_picture


@lru_cache(maxsize=1)
def _headlights() -> F32:
    """How much the low beams add, (height, width, 3): a warm fan on the road ahead, cut off above."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    fan = np.exp(-(((u - WIDTH / 2) / 95) ** 2) - ((v - 124) / 38) ** 2)
    cut_off = 1 / (1 + np.exp(-(v - 82) / 4))
    beam: F32 = (fan * cut_off)[:, :, None] * np.array([2.6, 2.4, 1.9], dtype=np.float32)
    return beam


def _pools(camera: Camera, lamps: tuple[Lamp, ...]) -> Image.Image:
    """Where street lamps light the ground, at the coarse size."""
    sheet = Image.new("RGB", (WIDTH // COARSE, HEIGHT // COARSE))
    pen = ImageDraw.Draw(sheet)
    for lamp in lamps:
        z = camera.distance_m(lamp.s_m)
        if not 3 < z < 90:
            continue
        u, v = camera.project(lamp.x_m * 0.72, 0, lamp.s_m)
        a, b = 5.0 * FOCAL_PX / z / COARSE, min(6 * FOCAL_PX * 1.45 / z**2, 24) / COARSE + 0.6
        pen.ellipse((u / COARSE - a, v / COARSE - b, u / COARSE + a, v / COARSE + b), fill=(255, 208, 140))
    return sheet


def _soften(coarse: Image.Image, radius: int) -> F32:
    """Blur a coarse sheet and bring it to the frame's size."""
    blurred = coarse.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(1))
    return np.asarray(blurred.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR), dtype=np.float32)


def _mirror_in_road(picture: F32, road: NDArray[np.bool_], camera: Camera) -> F32:
    """A wet road shows what stands above the horizon, upside down and smeared towards the viewer."""
    horizon = round(camera.horizon_px)
    above = Image.fromarray(picture[:horizon][::-1].clip(0, 255).astype(np.uint8))
    smeared = above.resize((WIDTH // 2, 10), Image.Resampling.BOX).resize(
        (WIDTH, HEIGHT - horizon), Image.Resampling.BILINEAR
    )
    wet = picture.copy()
    wet[horizon:] += (
        road[horizon:, :, None] * (np.asarray(smeared, dtype=np.float32) - picture[horizon:]) * np.float32(0.38)
    )
    return wet


def _rain(rng: np.random.Generator, brightness: int) -> F32:
    """Streaks of falling rain, (height, width, 1), grey levels to add."""
    sheet = Image.new("L", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(sheet)
    for u, v, length in rng.random((SHOWER, 3)) * (WIDTH + 20, HEIGHT, 1):
        fall = 6 + 12 * length
        pen.line((u, v, u - fall * 0.22, v + fall), fill=int(brightness * (0.5 + length / 2)))
    return np.asarray(sheet, dtype=np.float32)[:, :, None]


@lru_cache(maxsize=1)
def _vignette() -> F32:
    """Corners are darker, (height, width, 1)."""
    v, u = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    shade: F32 = (1 - 0.11 * (u * u + v * v))[:, :, None]
    return shade


@lru_cache(maxsize=1)
def _grain() -> F32:
    """A sheet of noise larger than a frame; drawing new noise for every frame would be the slowest step."""
    rng = np.random.default_rng(20260321)
    return rng.standard_normal((HEIGHT * 2, WIDTH * 2, 3), dtype=np.float32)


def _noise(rng: np.random.Generator) -> F32:
    """The sensor's noise of one frame, (height, width, 3), standard deviation 1."""
    v, u = rng.integers(0, (HEIGHT, WIDTH))
    return _grain()[v : v + HEIGHT, u : u + WIDTH]
