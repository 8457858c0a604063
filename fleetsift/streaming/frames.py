"""From a frame's URI to its pixels: only below the roots, only whole JPEG and PNG images, never more than the caps."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from fleetsift.errors import ConfigError, FrameError
from fleetsift.objects import ObjectPrefix, is_url
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.status import Status

Pixels = NDArray[np.uint8]  # (height, width, 3) RGB

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Reads frames below some folders and prefixes of object stores, at one size or at their own."""

    roots: tuple[Path | ObjectPrefix, ...]  # folders are resolved
    most_bytes: int
    most_pixels: int
    in_flight: int  # fetches that may wait for an answer at once; 1 where nothing answers but disks

    @classmethod
    def open(cls, spec: FramesSpec) -> FrameReader:
        """Check the roots, without a request; raises ConfigError where one is no folder and no prefix."""
        roots = tuple(_open_root(root, spec) for root in spec.roots)
        remote = any(isinstance(root, ObjectPrefix) for root in roots)
        return cls(roots, spec.most_bytes, spec.most_pixels, spec.in_flight if remote else 1)

    def read(self, uri: str, size: tuple[int, int] | None = None) -> Pixels:
        """Fetch and decode one frame, resized to (height, width) where given; raises FrameError."""
        return decode(self.fetch(uri), self.most_pixels, size)

    def fetch(self, uri: str) -> bytes:
        """The bytes of one frame; a relative URI is meant from the first root. Raises FrameError."""
        first = self.roots[0]
        if isinstance(first, ObjectPrefix) and not is_url(uri) and not uri.startswith("/"):
            uri = f"{first.url}/{uri}"
        prefixes = [root for root in self.roots if isinstance(root, ObjectPrefix)]
        if any(uri.startswith(f"{prefix.url}/") for prefix in prefixes):
            return fetch_object(*locate_object(uri, prefixes), self.most_bytes)
        return fetch(locate(uri, [root for root in self.roots if isinstance(root, Path)]), self.most_bytes)


def _open_root(root: str, spec: FramesSpec) -> Path | ObjectPrefix:
    if is_url(root):
        return ObjectPrefix.open(root, "frames.roots", timeout_s=spec.timeout_s, retries=spec.retries)
    if not Path(root).is_dir():
        raise ConfigError(f"frames.roots: expected folders, {root} is none; make it or mend the path")
    return Path(root).resolve()


def locate(uri: str, roots: Sequence[Path]) -> Path:
    """The file a URI names: a path or file:// URI, relative ones below the first root.

    Links are followed before the check. Raises FrameError (denied) for anything that is not below a root.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise FrameError(Status.DENIED, f"expected a file below frames.roots, got a URI of scheme {parts.scheme!r}")
    try:
        path = Path(*roots[:1], unquote(parts.path) if parts.scheme else uri).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise FrameError(Status.DENIED, f"the path cannot be resolved: {error}") from error
    if not any(path.is_relative_to(root) for root in roots):
        raise FrameError(Status.DENIED, "the file is outside frames.roots")
    return path


def fetch(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of at most so many bytes; raises FrameError (missing, too_large)."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - never hang on a pipe
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise FrameError(Status.MISSING, "expected a regular file")
            if facts.st_size > most_bytes:
                raise FrameError(Status.TOO_LARGE, f"the file has {facts.st_size} bytes, more than frames.most_bytes")
            return file.read(most_bytes)
    except OSError as error:
        raise FrameError(Status.MISSING, error.strerror or str(error)) from error


def locate_object(uri: str, prefixes: Sequence[ObjectPrefix]) -> tuple[ObjectPrefix, str]:
    """The object a URI names, as a prefix and the key below it; raises FrameError (denied) for anything else."""
    for prefix in prefixes:
        key = uri.removeprefix(f"{prefix.url}/")
        if key != uri and "?" not in key and not {"", ".", ".."} & set(key.split("/")):
            return prefix, key
    raise FrameError(Status.DENIED, "the URI names no object below frames.roots")


def fetch_object(prefix: ObjectPrefix, key: str, most_bytes: int) -> bytes:
    """Read an object of at most so many bytes; raises FrameError (missing, denied, unreachable, too_large)."""
    try:
        found = prefix.read_at_most(key, most_bytes)
    except FileNotFoundError as error:
        raise FrameError(Status.MISSING, "no such object") from error
    except PermissionError as error:
        raise FrameError(Status.DENIED, "the object store forbids reading it") from error
    except OSError as error:
        raise FrameError(Status.UNREACHABLE, str(error)) from error
    if isinstance(found, int):
        raise FrameError(Status.TOO_LARGE, f"the object has {found} bytes, more than frames.most_bytes")
    return found


def decode(data: bytes, most_pixels: int, size: tuple[int, int] | None = None) -> Pixels:
    """Decode a whole JPEG or PNG, resized to (height, width) where given; raises FrameError (corrupt, too_large).

    Resizing is bilinear over the pixels' area and does not keep the aspect ratio.
    """
    if data.startswith(_JPEG):
        pixels = _decode_jpeg(data, most_pixels, size)
    elif data.startswith(_PNG):
        pixels = _decode_png(data, most_pixels)
    else:
        raise FrameError(Status.CORRUPT, "expected a JPEG or PNG image")
    if size is None or pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _decode_jpeg(data: bytes, most_pixels: int, size: tuple[int, int] | None) -> Pixels:
    """Decode at the smallest eighth that is still at least `size`: what is not wanted is not computed."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        _check_pixels(height, width, most_pixels)
        wanted_height, wanted_width = size or (height, width)
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=wanted_height, min_width=wanted_width)
    except ValueError as error:
        raise FrameError(Status.CORRUPT, f"JPEG: {error}") from error
    return pixels


def _decode_png(data: bytes, most_pixels: int) -> Pixels:
    if _PNG_END not in data:
        raise FrameError(Status.CORRUPT, "PNG: the file is truncated")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            _check_pixels(image.height, image.width, most_pixels)
            if image.mode.startswith("I"):  # 16 bits of grey: the high byte is the picture
                grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise FrameError(Status.TOO_LARGE, f"PNG: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise FrameError(Status.CORRUPT, f"PNG: {error}") from error


def _check_pixels(height: int, width: int, most_pixels: int) -> None:
    if height * width > most_pixels:
        raise FrameError(Status.TOO_LARGE, f"the image has {width} x {height} pixels, more than frames.most_pixels")
