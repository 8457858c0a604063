"""An engine whose networks and reduction are one program on a device, which takes batches of one fixed size.

The size is fixed because a device chooses its programs by it: the last batch is filled up with black frames, and a
frame's row is the same whatever is in the batch with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.engine import UncertaintyMaps
from fleetsift.engines.graphs.fuse import EMBEDDING
from fleetsift.engines.graphs.reading import find_broken, read_rows
from fleetsift.engines.graphs.reduction import (
    ARGMAX_MAP,
    ENTROPY_MAP,
    ENTROPY_MAPS,
    INFORMATION_MAP,
    INFORMATION_MAPS,
)
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.runtimes.described import Described
from fleetsift.errors import FrameError
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores
from fleetsift.schemas.status import Problem

# Frames (batch, H, W, 3) uint8 to the outputs of `graphs.reduction`, by name; the arrays are the caller's own.
Program: TypeAlias = Callable[[NDArray[np.uint8]], Mapping[str, F32]]


@dataclass(frozen=True)
class BatchedEngine(Described):
    """An ensemble as two programs on a device: one for scores, and one for maps that is opened when it is asked for.

    A program has one place for its frames on the device: one thread at a time asks the engine.
    """

    ensemble_id: str  # names everything that changes a number; scores with different ids are never compared
    spec: EnsembleSpec
    batch: int  # frames that the program for scores takes at once
    score_batch: Program
    open_maps: Callable[[], Program]  # of one frame
    release: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        _ = self._embedding_size  # whatever is built at the first run is built before the first frame waits for it

    def score(self, frames: FrameBatch) -> FrameScores:
        """Score a batch, as `Engine.score` promises."""
        self.check_size(frames.pixels.shape[1:])
        rows: list[FrameRow | Problem | None] = list(frames.problems)
        sound = [i for i, problem in enumerate(rows) if problem is None]
        for start in range(0, len(sound), self.batch):
            chosen = sound[start : start + self.batch]
            answers = self.score_batch(self._filled_up(frames.pixels, chosen))
            for i, row in zip(chosen, read_rows(self.spec, answers), strict=False):  # what fills up is not read
                rows[i] = row
        known = [row for row in rows if row is not None]
        return self.gather(known, self._embedding_size)

    def maps(self, frame: NDArray[np.uint8]) -> UncertaintyMaps:
        """The maps behind one frame's scores, as `Engine.maps` promises."""
        self.check_size(frame.shape)
        answer = {name: values[0] for name, values in self._map_frame(np.ascontiguousarray(frame[None])).items()}
        if problem := find_broken(self.spec, answer):
            raise FrameError(problem.status, problem.reason)
        return UncertaintyMaps(
            answer[ENTROPY_MAP][0],
            answer[INFORMATION_MAP][0],
            answer[ENTROPY_MAPS],
            answer[INFORMATION_MAPS],
            answer[ARGMAX_MAP][0].astype(np.uint16),
        )

    def close(self) -> None:
        """Release what the programs hold; the engine is not used again."""
        self.release()

    @cached_property
    def _embedding_size(self) -> int:
        """D, as a black batch shows it."""
        black = np.zeros((self.batch, *self.frame_size, 3), np.uint8)
        answers = self.score_batch(black)
        return answers[EMBEDDING].shape[1] if EMBEDDING in answers else 0

    @cached_property
    def _map_frame(self) -> Program:
        return self.open_maps()

    def _filled_up(self, pixels: NDArray[np.uint8], chosen: list[int]) -> NDArray[np.uint8]:
        """The chosen frames and, behind them, black ones: as many as the program takes."""
        if len(chosen) == self.batch == len(pixels):
            return np.ascontiguousarray(pixels)
        batch = np.zeros((self.batch, *pixels.shape[1:]), np.uint8)
        batch[: len(chosen)] = pixels[chosen]
        return batch
