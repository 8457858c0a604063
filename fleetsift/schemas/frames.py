"""A reference to one frame, and the pixels of a batch of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.status import Problem


class Position(NamedTuple):
    """Where a reference stands in its source; every row of the store has one of its own."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One frame as a fleet announces it: what it is, where its pixels are, where the reference stood.

    A record that could not be understood is a reference too: it has its position, a problem, and no identity.
    """

    position: Position
    frame_id: str | None = None
    session_id: str | None = None
    uri: str | None = None
    captured_at: datetime | None = None  # UTC, microseconds
    vehicle_id: str | None = None
    camera: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON values
    size: tuple[int, int] | None = None  # (height, width) of its image as it lies there, once that has been read
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """The pixels of N frames at one size; a frame with a problem is black and is not scored."""

    pixels: NDArray[np.uint8]  # (N, height, width, 3) RGB
    problems: tuple[Problem | None, ...]  # (N,)

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] != 3:
            raise ValueError(
                f"FrameBatch.pixels: expected uint8 (N, height, width, 3), got {self.pixels.dtype} {self.pixels.shape}"
            )
        if len(self.problems) != len(self.pixels):
            raise ValueError(f"FrameBatch.problems: expected {len(self.pixels)} entries, got {len(self.problems)}")

    def __len__(self) -> int:
        return len(self.pixels)
