"""Canary frames: drawn ones to try an engine on where no real frame is at hand; the same on every machine.

They have what moves a network: surfaces of every size and contrast, edges, textures at all scales, light and dark. On
noise alone networks agree on nothing in particular, and errors of precision would hide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SEED = 20200731


def canary_frames(count: int, frame_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw frames (N, height, width, 3) RGB; frame i is the same whatever `count` is."""
    return np.stack([_draw(np.random.default_rng([_SEED, i]), *frame_size) for i in range(count)])


def _draw(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A lit ground and sky with textured things of many sizes before them, seen by a sensor with a little noise."""
    horizon = round(height * random.uniform(0.3, 0.6))
    scene = np.empty((height, width, 3))
    scene[:horizon] = random.uniform(0.5, 1, 3) * np.linspace(1, random.uniform(0.6, 1), horizon)[:, None, None]
    scene[horizon:] = random.uniform(0.2, 0.6, 3) + _texture(random, height - horizon, width) * random.uniform(0, 0.3)
    for share in np.geomspace(0.6, 0.04, num=random.integers(4, 16)):  # far things are small and drawn last
        h, w = (max(1, round(size * share * random.uniform(0.4, 1))) for size in (height, width))
        y, x = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
        thing = random.uniform(0, 1, 3) + _texture(random, h, w) * random.uniform(0, 0.5)
        inside = _ellipse(h, w) if random.random() < 0.4 else np.ones((h, w), np.bool_)
        scene[y : y + h, x : x + w][inside] = thing[inside]
    scene = scene * random.uniform(0.25, 1.1) + random.normal(0, random.uniform(0, 0.05), scene.shape)
    return (np.clip(scene, 0, 1) * 255).astype(np.uint8)


def _texture(random: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Waves of all lengths, the long ones strongest, about -1 to 1, (height, width, 1)."""
    texture = np.zeros((height, width))
    for octave in range(1, 7):
        cells = random.uniform(-1, 1, (2**octave, 2**octave)).astype(np.float32)
        waves = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        texture += np.asarray(waves) / octave
    return texture[:, :, None] / 2


def _ellipse(height: int, width: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside: NDArray[np.bool_] = x * x + y * y <= 1
    return inside
