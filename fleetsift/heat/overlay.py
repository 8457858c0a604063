"""Heat over a frame: where it is strong it outshines the frame, where it is nothing the frame stays, grey and dim."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fleetsift.heat.colours import colour

SHADE = 0.42  # how much of the frame's light remains under the heat


def lay_over(frame: NDArray[np.uint8], values: NDArray[np.float32], brightest: float) -> NDArray[np.uint8]:
    """The heat map (H, W, 3) RGB of a frame (H, W, 3) RGB.

    values: (h, w) over the whole frame at any size, none below zero; they are brought to the frame's size by linear
    interpolation. `brightest` and more is the bright end of the colours.
    """
    height, width = frame.shape[:2]
    level = np.clip(_enlarge(values, height, width) / brightest, 0, 1)
    grey = np.asarray(Image.fromarray(frame).convert("L"), dtype=np.float32)
    mixed = colour(level) + (SHADE * grey * (1 - level))[..., None]
    heat_map: NDArray[np.uint8] = np.clip(mixed, 0, 255).astype(np.uint8)
    return heat_map


def _enlarge(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
