"""The box that a region's URI names, as a media fragment, and the URI of the frame it lies in."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_FRAGMENT = re.compile(r"[#&]xywh=(pixel|percent):([0-9.e-]+),([0-9.e-]+),([0-9.e-]+),([0-9.e-]+)$")


class Box(NamedTuple):
    """A part of a frame, from its upper left corner, in pixels or in shares of its width and height."""

    x: float
    y: float
    width: float
    height: float
    unit: Literal["pixel", "share"] = "share"

    def in_shares(self, height: int, width: int) -> Box:
        """The same of a frame of so many pixels, in shares."""
        if self.unit == "share":
            return self
        return Box(self.x / width, self.y / height, self.width / width, self.height / height)


def split_box(uri: str) -> tuple[str, Box | None]:
    """The URI of the whole frame, and the box where the URI names one."""
    found = _FRAGMENT.search(uri)
    if found is None:
        return uri, None
    unit, *sides = found.groups()
    x, y, width, height = (float(side) / (100 if unit == "percent" else 1) for side in sides)
    return uri[: found.start()], Box(x, y, width, height, "share" if unit == "percent" else "pixel")
