"""From an image's bytes to its pixels: whole images of allowed formats only, never more pixels than the cap."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, features

from fleetsift.errors import ConfigError, FrameError
from fleetsift.schemas.fleet import ImageFormat
from fleetsift.schemas.status import Status

Pixels = NDArray[np.uint8]  # (height, width, 3) RGB
Size = tuple[int, int]  # (height, width)

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_BEFORE_WEBP = 8  # bytes of a RIFF file that its own length leaves out


def decode(
    data: bytes,
    most_pixels: int,
    size: Size | None = None,
    formats: Collection[ImageFormat] = ("jpeg", "png"),
) -> Pixels:
    """Decode a whole image, resized to (height, width) where given; raises FrameError (corrupt, too_large).

    Resizing is bilinear over the pixels' area and does not keep the aspect ratio. A JPEG is decoded at the smallest
    eighths that are no less than `size`: each frame by itself, so the same frame is the same pixels in any batch.
    """
    return _decode(data, most_pixels, size, formats, None)[0]


def decode_into(pixels: Pixels, data: bytes, most_pixels: int, formats: Collection[ImageFormat]) -> Size:
    """Decode as `decode` does, at the size of `pixels` and into them: a JPEG that needs no resizing without a copy.

    Returns the image's own size. Raises FrameError; what is in `pixels` is then undefined.
    """
    decoded, own_size = _decode(data, most_pixels, (pixels.shape[0], pixels.shape[1]), formats, pixels)
    if decoded is not pixels:
        pixels[:] = decoded
    return own_size


def _decode(
    data: bytes,
    most_pixels: int,
    size: Size | None,
    formats: Collection[ImageFormat],
    place: Pixels | None,
) -> tuple[Pixels, Size]:
    """The pixels of an image, `place` itself where they could be decoded there, and its own size."""
    format_ = _format_of(data)
    if format_ is None or format_ not in formats:
        expected = " or ".join(name.upper() for name in formats)
        raise FrameError(Status.CORRUPT, f"expected {expected}, got {format_.upper() if format_ else 'no image'}")
    if format_ == "jpeg":
        pixels, own_size = _decode_jpeg(data, most_pixels, size, place)
    else:
        pixels = _decode_with_pillow(data, format_, most_pixels)
        own_size = pixels.shape[0], pixels.shape[1]
    if size is None or pixels.shape[:2] == size:
        return pixels, own_size
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR)), own_size


def check_formats(formats: Collection[ImageFormat]) -> None:
    """Raise ConfigError where this machine's Pillow lacks one."""
    if "webp" in formats and not features.check("webp"):
        raise ConfigError("frames.formats: webp is not in this build of Pillow; install its wheel, or leave webp out")


def _format_of(data: bytes) -> ImageFormat | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


def _decode_jpeg(data: bytes, most_pixels: int, size: Size | None, place: Pixels | None) -> tuple[Pixels, Size]:
    """Decode at the smallest eighth that is still at least `size`: what is not wanted is not computed."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        _check_pixels(height, width, most_pixels)
        least_height, least_width = size or (height, width)
        least = {"min_height": least_height, "min_width": least_width}
        if place is not None and simplejpeg.decode_jpeg_header(data, **least)[:2] == place.shape[:2]:
            simplejpeg.decode_jpeg(data, "RGB", **least, buffer=place)
            return place, (height, width)
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", **least)
    except ValueError as error:
        raise FrameError(Status.CORRUPT, f"JPEG: {error}") from error
    return pixels, (height, width)


def _decode_with_pillow(data: bytes, format_: ImageFormat, most_pixels: int) -> Pixels:
    name = format_.upper()
    if format_ == "png" and _PNG_END not in data:
        raise FrameError(Status.CORRUPT, "PNG: the file is truncated")
    if format_ == "webp" and int.from_bytes(data[4:8], "little") + _BEFORE_WEBP > len(data):
        raise FrameError(Status.CORRUPT, "WEBP: the file is truncated")
    try:
        with Image.open(io.BytesIO(data), formats=[name]) as image:
            _check_pixels(image.height, image.width, most_pixels)
            if getattr(image, "n_frames", 1) > 1:
                raise FrameError(Status.CORRUPT, f"{name}: expected one image, got {getattr(image, 'n_frames', 0)}")
            if image.mode.startswith("I"):  # 16 bits of grey: the high byte is the picture
                grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise FrameError(Status.TOO_LARGE, f"{name}: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise FrameError(Status.CORRUPT, f"{name}: {error}") from error


def _check_pixels(height: int, width: int, most_pixels: int) -> None:
    if height * width > most_pixels:
        raise FrameError(Status.TOO_LARGE, f"the image has {width} x {height} pixels, more than frames.most_pixels")
