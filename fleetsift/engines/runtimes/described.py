"""What an ensemble file says of its engine, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from fleetsift.engines.rows import FrameRow, gather_rows
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.scores import FrameScores
from fleetsift.schemas.status import Problem


class Described:
    """An engine that has an ensemble file."""

    spec: EnsembleSpec

    @property
    def members(self) -> int:
        """M, how many answers there are: views and passes of dropout count."""
        return len(self.spec.answers)

    @property
    def classes(self) -> tuple[str, ...]:
        """The C classes, in the order of every (N, C) score."""
        return self.spec.classes

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) that frames are decoded to."""
        return self.spec.frame_size

    def gather(self, rows: Sequence[FrameRow | Problem], embedding_size: int) -> FrameScores:
        """The rows of a batch as its scores."""
        spec = self.spec
        return gather_rows(
            rows,
            spec.classes,
            spec.grid,
            embedding_size,
            spec.task,
            objects=spec.boxes is not UNSET,
            equal=spec.compares_views,
        )

    def check_size(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError where frames are not (H, W, 3) at `frame_size`."""
        if shape != (*self.frame_size, 3):
            raise ValueError(f"engine frames: expected (height, width, 3) {(*self.frame_size, 3)}, got {shape}")
