"""What an ensemble says about a batch of N frames: a few floats a frame, never probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.status import Problem

F32 = NDArray[np.float32]

QUANTITIES = (
    "entropy",
    "expected_entropy",
    "mutual_information",
    "variation_ratio",
    "least_confidence",
    "margin",
)
REGION_QUANTITIES = ("entropy", "mutual_information")


@dataclass(frozen=True, slots=True)
class Statistic:
    """One quantity over the positions of each frame."""

    mean: F32  # (N,)
    max: F32  # (N,)
    top: F32  # (N,) mean over the highest `top_share` of positions


@dataclass(frozen=True, slots=True)
class ByClass:
    """What each class contributes, per frame; classes are in the ensemble's order."""

    entropy: F32  # (N, C) nats: mean over positions of -P log P; sums over C to entropy.mean
    mutual_information: F32  # (N, C) nats: sums over C to mutual_information.mean
    area: F32  # (N, C) mean of P
    argmax: F32  # (N, C) share of positions where the class has the largest P


@dataclass(frozen=True, slots=True)
class RegionGrid:
    """Means over the cells of a coarse grid, rows first; cell (r, q) covers [r*H//rows, (r+1)*H//rows) and so on."""

    rows: int
    columns: int
    entropy: F32  # (N, rows * columns) nats
    mutual_information: F32  # (N, rows * columns) nats


@dataclass(frozen=True, slots=True)
class FrameScores:
    """The scores of N frames, in nats; where `problems` has an entry every number of that frame is NaN."""

    classes: tuple[str, ...]
    entropy: Statistic
    expected_entropy: Statistic
    mutual_information: Statistic
    variation_ratio: Statistic
    least_confidence: Statistic
    margin: Statistic
    by_class: ByClass
    regions: RegionGrid
    embedding: F32  # (N, D); D is 0 where the ensemble has none
    problems: tuple[Problem | None, ...]  # (N,)

    def __post_init__(self) -> None:
        n, c = len(self.problems), len(self.classes)
        for name in QUANTITIES:
            statistic: Statistic = getattr(self, name)
            for part in ("mean", "max", "top"):
                _expect_shape(f"{name}.{part}", getattr(statistic, part), (n,))
        for name in ("entropy", "mutual_information", "area", "argmax"):
            _expect_shape(f"by_class.{name}", getattr(self.by_class, name), (n, c))
        for name in REGION_QUANTITIES:
            _expect_shape(f"regions.{name}", getattr(self.regions, name), (n, self.regions.rows * self.regions.columns))
        if self.embedding.ndim != 2 or len(self.embedding) != n:
            raise ValueError(f"FrameScores.embedding: expected ({n}, D), got {self.embedding.shape}")

    def __len__(self) -> int:
        return len(self.problems)


def _expect_shape(name: str, values: F32, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise ValueError(f"FrameScores.{name}: expected float32 {shape}, got {values.dtype} {values.shape}")
