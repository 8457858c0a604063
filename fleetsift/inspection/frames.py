"""The frames that a person names on the command line: images, videos, a folder of them, or a manifest."""

from __future__ import annotations

from pathlib import Path

from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.messages import FrameMessage
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.manifests.messages import read_references


def find_frames(path: Path) -> list[FrameMessage]:
    """What `path` names, in order; raises SourceError where that is no frames."""
    return list(read_references(path))


def open_reader() -> FrameReader:
    """A reader of whatever its user may read: who names frames by hand has no roots to keep to."""
    return FrameReader.open(FramesSpec(roots=("/",)))
