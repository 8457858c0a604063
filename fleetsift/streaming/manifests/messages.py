"""References from files for `publish` and `check`: what a manifest, folder, glob or video announces, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from fleetsift.errors import ConfigError, SourceError
from fleetsift.objects import is_url
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.messages import FrameMessage
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.manifests.open import open_rows
from fleetsift.streaming.manifests.rows import EVERYTHING


def read_references(
    path: Path | str, *, every_s: float | None = None, fps: float | None = None
) -> Iterator[FrameMessage]:
    """The frames that a manifest (.jsonl, .csv, .parquet), folder, glob or address of images and videos announces.

    In a manifest the message's fields are columns, every other column is metadata, and a relative uri starts at the
    manifest's folder. Elsewhere each image is a frame named by its path, and the folder it lies in is its session; a
    video is a session, with a frame every so many seconds (1 by default), or so many a second. Raises SourceError,
    naming the row, for what is no reference, and ConfigError for a rate that cannot be meant.
    """
    where = str(path) if is_url(str(path)) else str(Path(path).absolute())
    fields = {"path": where, "every_s": every_s, "fps": fps}
    try:
        rows = open_rows(msgspec.convert(fields, ManifestSpec))
    except msgspec.ValidationError as error:
        raise ConfigError(f"every_s, fps: {str(error).replace('`', '')}; mend it") from error
    return _messages(where, rows.read(EVERYTHING, "", 0))


def _messages(path: str, refs: Iterator[FrameRef]) -> Iterator[FrameMessage]:
    number = 0
    try:
        for number, ref in enumerate(refs, start=1):
            if ref.problem is not None:
                raise SourceError(f"{path} row {number}: {ref.problem.reason.replace('`', '')}; mend the row")
            yield msgspec.convert(ref, FrameMessage, from_attributes=True)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read, {error}; mend the path") from error
    if not number:
        raise SourceError(f"{path}: expected frames, got none; mend the path")
