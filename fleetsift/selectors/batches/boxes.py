"""The box that a region's URI names, as a media fragment, and the URI of the frame it lies in."""

from __future__ import annotations

import re
from typing import NamedTuple

_FRAGMENT = re.compile(r"[#&]xywh=percent:([0-9.e-]+),([0-9.e-]+),([0-9.e-]+),([0-9.e-]+)$")


class Box(NamedTuple):
    """A part of a frame, in shares of its width and height, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


def split_box(uri: str) -> tuple[str, Box | None]:
    """The URI of the whole frame, and the box where the URI names one."""
    found = _FRAGMENT.search(uri)
    if found is None:
        return uri, None
    return uri[: found.start()], Box(*(float(percent) / 100 for percent in found.groups()))
