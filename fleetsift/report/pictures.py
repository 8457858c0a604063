"""From a frame and its map of what it is ranked by to a thumbnail and a heat map.

Every heat map of a report has one scale: a scale of its own for each frame would hide that one frame is worse than
another. So frames are first reduced to sketches, small enough to keep hundreds, and drawn when all of them are known.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fleetsift.errors import FrameError
from fleetsift.heat.overlay import lay_over
from fleetsift.report.facts import Drawing
from fleetsift.schemas.status import Status
from fleetsift.selectors.batches.boxes import Box

WIDTH = 320  # pixels of a thumbnail; a smaller frame keeps its size
MAP_WIDTH = 160  # positions of a map that are kept: finer is invisible at the thumbnail's size
BRIGHT = 0.99  # the share of all positions below the bright end: boundaries would otherwise take the whole scale
QUALITY = 70
AROUND = 0.55  # brightness of what lies around a region
OUTLINE = 2  # pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as the ensemble saw it, and where its members disagreed, or where one was unsure."""

    frame: NDArray[np.uint8]  # (H, W, 3) RGB
    heat: NDArray[np.float32]  # (h, w) nats, over the whole frame at any resolution
    box: Box | None = None  # what was picked of it, where that is a region; in shares

    def __post_init__(self) -> None:
        frame, heat = self.frame, self.heat
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise ValueError(f"Picture.frame: expected uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        if heat.dtype != np.float32 or heat.ndim != 2 or not heat.size:
            raise ValueError(f"Picture.heat: expected float32 (h, w), got {heat.dtype} {heat.shape}")


Camera = Callable[[str], Picture]  # what gives the picture of a URI, or raises FrameError


@dataclass(frozen=True, slots=True)
class Sketch:
    """A picture, reduced to what the page can show of it."""

    frame: NDArray[np.uint8]  # (h, w, 3) RGB, at most WIDTH wide
    heat: NDArray[np.float32]  # (r, q) nats, at most MAP_WIDTH wide
    box: Box | None = None


def draw_all(uris: Iterable[str], camera: Camera) -> tuple[list[Drawing | str], float | None]:
    """Each frame's drawing, or why it has none, and the scale in nats that all heat maps share, if there are any."""
    sketches = [_take(uri, camera) for uri in uris]
    seen = [found for found in sketches if isinstance(found, Sketch)]
    if not seen:
        return [found for found in sketches if isinstance(found, str)], None
    scale = common_scale(seen)
    return [draw(found, scale) if isinstance(found, Sketch) else found for found in sketches], scale


def _take(uri: str, camera: Camera) -> Sketch | str:
    try:
        return sketch(camera(uri))
    except FrameError as error:
        return f"{error.status}: {error.reason}"


def sketch(picture: Picture) -> Sketch:
    """Reduce a picture to what is shown; raises FrameError where its map has a number that is none."""
    if not np.isfinite(picture.heat).all():
        raise FrameError(Status.NON_FINITE, "its map has positions that are no number")
    frame = _shrink(Image.fromarray(picture.frame), WIDTH, Image.Resampling.LANCZOS)
    heat = _shrink(Image.fromarray(picture.heat), MAP_WIDTH, Image.Resampling.BOX)
    return Sketch(np.asarray(frame), np.asarray(heat), picture.box)


def common_scale(sketches: Sequence[Sketch]) -> float:
    """The nats that every heat map of a report shows brightest; ln 2 where nobody disagrees anywhere."""
    heat = np.concatenate([sketch.heat.ravel() for sketch in sketches])
    return float(np.quantile(heat, BRIGHT)) or float(heat.max()) or math.log(2)


def draw(sketch: Sketch, scale: float) -> Drawing:
    """The thumbnail, and the map over the darkened grey frame, where `scale` nats and more are brightest."""
    height, width = sketch.frame.shape[:2]
    heat_map = lay_over(sketch.frame, sketch.heat, scale)
    return Drawing(_encode(_show(sketch.frame, sketch.box)), _encode(_show(heat_map, sketch.box)), width, height)


def _show(rgb: NDArray[np.uint8], box: Box | None) -> NDArray[np.uint8]:
    """The picture with a box outlined and what lies around it darkened."""
    if box is None:
        return rgb
    height, width = rgb.shape[:2]
    top, bottom = round(box.y * height), round((box.y + box.height) * height)
    left, right = round(box.x * width), round((box.x + box.width) * width)
    shown: NDArray[np.uint8] = (rgb * AROUND).astype(np.uint8)
    shown[top:bottom, left:right] = 255
    inner = slice(top + OUTLINE, bottom - OUTLINE), slice(left + OUTLINE, right - OUTLINE)
    shown[inner] = rgb[inner]
    return shown


def _shrink(image: Image.Image, width: int, filtering: Image.Resampling) -> Image.Image:
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), filtering)


def _encode(rgb: NDArray[np.uint8]) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "WEBP", quality=QUALITY)
    return sink.getvalue()
