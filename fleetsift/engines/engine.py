"""The seam between pixels and scores: what the stream and the report ask of any engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores


@dataclass(frozen=True, slots=True)
class UncertaintyMaps:
    """Where in one frame an ensemble is unsure, at the size it is scored at: for heat maps, never stored."""

    entropy: F32  # (h, w) nats
    mutual_information: F32  # (h, w) nats
    entropy_by_class: F32  # (C, h, w) nats; sums over C to entropy
    mutual_information_by_class: F32  # (C, h, w) nats; sums over C to mutual_information
    argmax: NDArray[np.uint16]  # (h, w) index into the engine's classes


class Engine(Protocol):
    """An ensemble that is ready to answer."""

    @property
    def ensemble_id(self) -> str:
        """Names everything that changes a number; scores with different ids are never compared."""

    @property
    def members(self) -> int:
        """M, how many answers there are to a frame: networks, times their views and passes of dropout."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The C classes, in the order of every (N, C) score."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) that frames are decoded to."""

    def score(self, frames: FrameBatch) -> FrameScores:
        """Score a batch: one row a frame, in order, each the same whatever else is in the batch.

        A frame with a problem keeps it and gets NaN numbers; so does one that a network answers with NaN or
        infinity (`Status.NON_FINITE`). Raises ValueError where the frames are not of `frame_size`.
        """

    def maps(self, frame: NDArray[np.uint8]) -> UncertaintyMaps:
        """The maps behind one frame's scores. Raises FrameError where a network answers NaN or infinity.

        frame: (H, W, 3) RGB at `frame_size`.
        """

    def close(self) -> None:
        """Release what the engine holds; it is not used again."""
