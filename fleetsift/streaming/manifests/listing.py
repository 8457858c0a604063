"""A folder, prefix or glob as a manifest: each image is a frame, each video a frame every so many seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from fleetsift.errors import SourceError
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.messages import bad_message
from fleetsift.streaming.manifests.places import Place
from fleetsift.streaming.manifests.rows import Index, Part

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})


class Entry(NamedTuple):
    """One file, and how many frames of it are referred to."""

    name: str
    size: int
    frames: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Files in the order of their names; a part is some of them, whole, and begins after a name."""

    place: Place
    home: str  # the session of images that lie in no folder below
    pattern: tuple[str, ...]  # a glob by its steps
    step_s: float  # between frames of a video
    duration_s: Callable[[Place, str], float]  # of a video; 0 where it cannot be told

    def index(self, rows_per_part: int) -> Index:
        """List everything once; what is hashed is names, sizes and how many frames each has."""
        whole, parts, after = hashlib.sha256(), [], ""
        entries = self._entries("")
        while chunk := list(_up_to(entries, rows_per_part)):
            mark = _mark(chunk)
            whole.update(mark.encode())
            parts.append(Part(after, sum(entry.frames for entry in chunk), mark))
            after = chunk[-1].name
        if not parts:
            raise SourceError(
                f"{self.place.address('.')}: expected images or videos, found none; mend the path, or name tables by a "
                "glob of theirs, such as *.parquet"
            )
        return Index(whole.hexdigest(), tuple(parts), self.look())

    def read(self, part: Part, topic: str, partition: int) -> Iterator[FrameRef]:
        """List the part again, and refer to its frames."""
        entries = self._entries(str(part.begin or ""))
        if part.mark:
            chunk = list(_up_to(entries, part.rows))
            if _mark(chunk) != part.mark:
                raise SourceError(
                    f"{self.place.address('.')}: the files changed during the run, at part {partition}; run again, and "
                    "what lies there now is another topic"
                )
            entries = iter(chunk)
        rows = (self._reference(entry, frame) for entry in entries for frame in range(entry.frames))
        for offset, row in enumerate(islice(rows, part.rows)):
            yield row(Position(topic, partition, offset))

    def look(self) -> str:
        """Nothing: a look at a folder tells less than its parts do when they are read."""
        return ""

    def _entries(self, after: str) -> Iterator[Entry]:
        for name, size in self.place.walk(after):
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES and matches(tuple(name.split("/")), self.pattern):
                yield Entry(name, size, self._frames(name) if suffix in VIDEO_SUFFIXES else 1)

    def _frames(self, video: str) -> int:
        """At 0, one step, two steps, …, before the end; one where the end is not known: it will say why."""
        return max(1, -int(-self.duration_s(self.place, video) // self.step_s))

    def _reference(self, entry: Entry, frame: int) -> Callable[[Position], FrameRef]:
        path, uri = PurePosixPath(entry.name), self.place.address(entry.name)
        stem = path.with_suffix("").as_posix()
        if not _is_text(entry.name):
            return lambda position: bad_message(position, "the file's name is not UTF-8")
        if path.suffix.lower() in VIDEO_SUFFIXES:
            at_s = round(frame * self.step_s, 6)
            moment = f"#t={at_s:g}" if at_s == float(f"{at_s:g}") else f"#t={at_s:.6f}"
            return lambda position: FrameRef(
                position, f"{stem}{moment}", stem, uri + moment, metadata={"video_s": at_s}
            )
        session = path.parent.as_posix() if len(path.parts) > 1 else self.home
        return lambda position: FrameRef(position, stem, session, uri)


def matches(names: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path matches a glob, step by step; `**` is any number of steps."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(matches(names[i:], pattern[1:] or ("*",)) for i in range(len(names)))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


def _up_to(entries: Iterator[Entry], rows: int) -> Iterator[Entry]:
    """Whole entries until they have so many frames."""
    for entry in entries:
        yield entry
        rows -= entry.frames
        if rows <= 0:
            return


def _mark(entries: list[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.name}\0{entry.size}\0{entry.frames}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
