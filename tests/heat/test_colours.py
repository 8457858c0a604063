"""Equal steps look equal, from dark to bright."""

from __future__ import annotations

import numpy as np

from fleetsift.heat.colours import INFERNO, colour


def test_equal_steps_of_colour_look_equal() -> None:
    red, green, blue = colour(np.linspace(0, 1, 64, dtype=np.float32)).T / 255
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    lightness = np.cbrt(light)
    assert (np.diff(lightness) > 0).all()
    assert len(INFERNO) == 17
    assert colour(np.array([-1.0, 2.0])).tolist() == [[0, 0, 4], [252, 255, 164]]
