"""The frames that a person names on the command line: one image, a folder of images, or a manifest."""

from __future__ import annotations

from pathlib import Path

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.messages import FrameMessage
from fleetsift.streaming.files import IMAGE_SUFFIXES, read_references
from fleetsift.streaming.frames import FrameReader


def find_frames(path: Path) -> list[FrameMessage]:
    """What `path` names, in order; raises SourceError where that is no frames."""
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return [FrameMessage(frame_id=path.stem, session_id=path.stem, uri=str(path.resolve()))]
    frames = list(read_references(path))
    if not frames:
        raise SourceError(f"{path}: expected frames, got none; add a row for each")
    return frames


def open_reader() -> FrameReader:
    """A reader of whatever its user may read: who names frames by hand has no roots to keep to."""
    return FrameReader.open(FramesSpec(roots=("/",)))
