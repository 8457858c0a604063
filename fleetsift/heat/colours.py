"""A perceptually uniform colour map: dark is little, bright is much, and equal steps look equal.

The colours are every sixteenth of `inferno` by Nathaniel Smith and Stéfan van der Walt (matplotlib), CC0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INFERNO = (
    "#000004", "#0b0724", "#210c4a", "#3d0965", "#57106e", "#71196e", "#8a226a", "#a32c61", "#bc3754",
    "#d04545", "#e35933", "#f1711f", "#f98c0a", "#fcaa0f", "#f9c932", "#f2e865", "#fcffa4",
)  # fmt: skip

_RGB = np.array([list(bytes.fromhex(colour[1:])) for colour in INFERNO], dtype=np.float32)
_AT = np.linspace(0, 1, len(INFERNO), dtype=np.float32)


def colour(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """The RGB (..., 3) in 0..255 of values (...) in 0..1; what lies outside takes the colour of the end."""
    return np.stack([np.interp(values, _AT, _RGB[:, channel]) for channel in range(3)], axis=-1, dtype=np.float32)
