"""The frames of a check on their way through it: all are scored, the pixels of a few are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.engine import Engine
from fleetsift.engines.truth.canary import canary_frames
from fleetsift.engines.truth.parity import scores_by_name
from fleetsift.errors import FrameError, SourceError
from fleetsift.inspection.frames import find_frames, open_reader
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores

CANARIES = 24  # drawn where no frames are given
KEPT = 8  # at most

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(slots=True)
class Sample:
    """What is kept of the frames of a check: their scores by each engine, and the pixels of a few."""

    scores: dict[str, list[FrameScores]]
    kept: list[Pixels] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # frames that cannot be read, and why
    frames: int = 0

    def take(self, pixels: Pixels, i: int, total: int) -> None:
        """Count frame i of `total`, and keep it if it is time for another of KEPT evenly spread ones."""
        self.frames += 1
        if len(self.kept) * total <= i * KEPT:
            self.kept.append(pixels)

    def column(self, engine: str, score: str) -> F32:
        """One score of all frames, (N,)."""
        return np.concatenate([scores_by_name(scores)[score] for scores in self.scores[engine]])


def score_sample(
    engines: Mapping[str, Engine], frames: Path | None, at_once: int, on_frame: Callable[[int], None]
) -> Sample:
    """Score frames, or canary frames where none are given, by every engine; all take frames of one size.

    Raises SourceError where no frame can be read.
    """
    sample = Sample({name: [] for name in engines})
    size = next(iter(engines.values())).frame_size
    for chunk in batches(_read(frames, size, sample), at_once):
        for name, engine in engines.items():
            sample.scores[name].append(engine.score(chunk))
        on_frame(sample.frames)
    if not sample.frames:
        frame, reason = next(iter(sample.left_out.items()))
        raise SourceError(f"{frames}: expected frames, none can be read, {frame}: {reason}; mend the files")
    return sample


def _read(frames: Path | None, size: tuple[int, int], sample: Sample) -> Iterator[Pixels]:
    """The frames that can be read, each shown to the sample."""
    if frames is None:
        for i, pixels in enumerate(canary_frames(CANARIES, size)):
            sample.take(pixels, i, CANARIES)
            yield pixels
        return
    messages, reader = find_frames(frames), open_reader()
    for i, message in enumerate(messages):
        try:
            pixels = reader.read(message.uri, size)
        except FrameError as error:
            sample.left_out[message.frame_id] = f"{error.status}, {error.reason}"
            continue
        sample.take(pixels, i, len(messages))
        yield pixels


def batches(frames: Iterator[Pixels], size: int) -> Iterator[FrameBatch]:
    while batch := list(islice(frames, size)):
        yield FrameBatch(np.stack(batch), (None,) * len(batch))
