"""The strip below a heat map that says what it shows and what its colours mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fleetsift.heat.colours import colour

_GROUND = (18, 18, 22)
_TEXT = (238, 238, 238)
_QUIET = (156, 156, 164)


@dataclass(frozen=True, slots=True)
class Legend:
    """What is written below a heat map."""

    quantity: str
    frame: str
    brightest: float  # nats of the bright end, and more
    note: str


def draw_legend(legend: Legend, width: int) -> NDArray[np.uint8]:
    """The strip (h, width, 3) RGB; letters grow with the width, and what does not fit is cut short."""
    size = min(max(width // 38, 9), 32)
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(9, size * 5 // 6))
    line, edge = round(size * 1.5), size // 2
    strip = Image.new("RGB", (width, 4 * line + edge), _GROUND)
    pen = ImageDraw.Draw(strip)
    middle, right, room = width // 2, width - edge, max(1, width - 2 * edge)

    pen.text((edge, line // 2), legend.quantity, _TEXT, font, "lm")
    left = room - round(font.getlength(legend.quantity)) - size
    pen.text((right, line // 2), _cut(legend.frame, small, left), _QUIET, small, "rm")

    bar = colour(np.linspace(0, 1, room))[None].astype(np.uint8)
    strip.paste(Image.fromarray(bar).resize((room, line // 2)), (edge, line + line // 4))
    pen.rectangle((edge - 1, line + line // 4 - 1, edge + room, line + line // 4 + line // 2), outline=_QUIET)

    pen.text((edge, 5 * line // 2), "0", _TEXT, font, "lm")
    pen.text((middle, 5 * line // 2), f"{legend.brightest / 2:.2g}", _TEXT, font, "mm")
    pen.text((right, 5 * line // 2), f"{legend.brightest:.2g} nats and more", _TEXT, font, "rm")
    pen.text((edge, 7 * line // 2), _cut(legend.note, small, room), _QUIET, small, "lm")
    return np.asarray(strip)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """Text that fits into a width: its end is what tells frames apart, so its beginning goes."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"…{text}") > room:
        text = text[1:]
    return text and f"…{text}"
