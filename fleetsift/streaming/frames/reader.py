"""From a frame's URI to its pixels: only below the roots, images and moments of videos, never more than the caps."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from fleetsift.errors import ConfigError, FrameError, MissingExtra
from fleetsift.objects import ObjectPrefix, is_url
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.status import Status
from fleetsift.streaming.frames.images import Pixels, Size, check_formats, decode, decode_into
from fleetsift.streaming.frames.outage import Outage
from fleetsift.streaming.frames.videos import Moment, Videos, moment_of


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Reads frames below some folders and prefixes of object stores, at one size or at their own."""

    spec: FramesSpec
    roots: tuple[Path | ObjectPrefix, ...]  # folders are resolved
    in_flight: int  # fetches that may wait for an answer at once; 1 where nothing answers but disks
    outage: Outage
    videos: Videos

    @classmethod
    def open(cls, spec: FramesSpec, stop: Event | None = None) -> FrameReader:
        """Check the roots, without a request; raises ConfigError where one is no folder and no prefix.

        With `stop`, an object store that is away is waited for, for `outage_s` or until then, and is no frame's fault.
        """
        check_formats(spec.formats)
        roots = tuple(_open_root(root, spec) for root in spec.roots)
        remote = any(isinstance(root, ObjectPrefix) for root in roots)
        outage = Outage(spec.outage_s if stop else 0.0, stop or Event())
        return cls(spec, roots, spec.in_flight if remote else 1, outage, Videos(spec.most_pixels))

    def read(self, uri: str, size: Size | None = None) -> Pixels:
        """Fetch and decode one frame, resized to (height, width) where given; raises FrameError, SourceError."""
        moment = moment_of(uri)
        return self.decode(self.fetch(uri), size) if moment is None else self.read_moment(moment, size)[0]

    def fetch(self, uri: str) -> bytes:
        """The bytes of one image; a relative URI is meant from the first root. Raises FrameError, SourceError."""
        found = self._locate(uri)
        if isinstance(found, Path):
            return fetch(found, self.spec.most_bytes)
        prefix, key = found
        return self.outage.ask(prefix, lambda: fetch_object(prefix, key, self.spec.most_bytes))

    def decode(self, data: bytes, size: Size | None = None) -> Pixels:
        """An image's pixels; raises FrameError."""
        return decode(data, self.spec.most_pixels, size, self.spec.formats)

    def decode_into(self, pixels: Pixels, data: bytes) -> Size:
        """An image's pixels into (height, width, 3) others; returns its own size. Raises FrameError."""
        return decode_into(pixels, data, self.spec.most_pixels, self.spec.formats)

    def read_moment(self, moment: Moment, size: Size | None = None) -> tuple[Pixels, Size]:
        """A frame of a video, read piece by piece, and its own size; raises FrameError, SourceError."""
        found, most_bytes = self._locate(moment.video), self.spec.most_video_bytes
        if isinstance(found, Path):
            return self._read_video(moment, lambda: open_file(found, most_bytes), size)
        prefix, key = found
        opener = partial(open_object, prefix, key, most_bytes)
        return self.outage.ask(prefix, lambda: self._read_video(moment, opener, size))

    def _read_video(self, moment: Moment, opener: Callable[[], BinaryIO], size: Size | None) -> tuple[Pixels, Size]:
        try:
            with _as_frame_errors():
                return self.videos.read(moment, opener, size)
        except MissingExtra as error:  # whoever sends such a reference does not stop the others' stream
            raise FrameError(Status.CORRUPT, str(error)) from error

    def _locate(self, uri: str) -> Path | tuple[ObjectPrefix, str]:
        first = self.roots[0]
        if isinstance(first, ObjectPrefix) and not is_url(uri) and not uri.startswith("/"):
            uri = f"{first.url}/{uri}"
        prefixes = [root for root in self.roots if isinstance(root, ObjectPrefix)]
        if any(uri.startswith(f"{prefix.url}/") for prefix in prefixes):
            return locate_object(uri, prefixes)
        return locate(uri, [root for root in self.roots if isinstance(root, Path)])


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


def open_file(path: Path, most_bytes: int) -> BinaryIO:
    """A regular file of at most so many bytes; raises FrameError (missing, too_large)."""
    try:
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: PTH123, SIM115 - never hang on a pipe
    except OSError as error:
        raise FrameError(Status.MISSING, error.strerror or str(error)) from error
    facts = os.fstat(file.fileno())
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= most_bytes:
        return file
    file.close()
    if not stat.S_ISREG(facts.st_mode):
        raise FrameError(Status.MISSING, "expected a regular file")
    raise FrameError(Status.TOO_LARGE, f"the file has {facts.st_size} bytes, more than {most_bytes}")


def fetch(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of at most so many bytes; raises FrameError (missing, too_large)."""
    with open_file(path, most_bytes) as file:
        try:
            return file.read(min(most_bytes, os.fstat(file.fileno()).st_size))  # as much is allocated as is asked for
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
    with _as_frame_errors():
        found = prefix.read_at_most(key, most_bytes)
    if isinstance(found, int):
        raise FrameError(Status.TOO_LARGE, f"the object has {found} bytes, more than {most_bytes}")
    return found


def open_object(prefix: ObjectPrefix, key: str, most_bytes: int) -> BinaryIO:
    """An object of at most so many bytes, to read piece by piece; raises FrameError as `fetch_object` does."""
    with _as_frame_errors():
        size, _ = prefix.facts(key)
        if size > most_bytes:
            raise FrameError(Status.TOO_LARGE, f"the object has {size} bytes, more than {most_bytes}")
        return prefix.open_file(key)


@contextmanager
def _as_frame_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FrameError(Status.MISSING, "no such object") from error
    except PermissionError as error:
        raise FrameError(Status.DENIED, "the object store forbids reading it") from error
    except OSError as error:
        raise FrameError(Status.UNREACHABLE, str(error)) from error
