"""Engines without a network, to build and test a stream with, and to measure everything but the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.engine import UncertaintyMaps
from fleetsift.engines.rows import CLASS_QUANTITIES, STATISTICS, FrameRow, gather_rows
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import QUANTITIES, REGION_QUANTITIES, FrameScores
from fleetsift.schemas.status import Problem

_GRID = RegionSpec()


@dataclass(frozen=True, slots=True)
class FunctionEngine:
    """An engine that asks a function: pixels of one frame (H, W, 3) uint8 in, its row out, or its problem."""

    function: Callable[[NDArray[np.uint8]], FrameRow | Problem]
    ensemble_id: str = "function-000000000000"
    members: int = 2
    classes: tuple[str, ...] = ("road", "car")
    frame_size: tuple[int, int] = (4, 6)
    regions: RegionSpec = _GRID
    embedding_size: int = 0

    def score(self, frames: FrameBatch) -> FrameScores:
        """Score a batch as `Engine.score` promises; a frame that has a problem is not shown to the function."""
        rows = [
            problem or self.function(pixels) for pixels, problem in zip(frames.pixels, frames.problems, strict=True)
        ]
        return gather_rows(rows, self.classes, self.regions, self.embedding_size)

    def maps(self, frame: NDArray[np.uint8]) -> UncertaintyMaps:
        """Maps of a frame about which nothing is unsure: all zero."""
        height, width = frame.shape[:2]
        zeros = np.zeros((height, width), np.float32)
        by_class = np.zeros((len(self.classes), height, width), np.float32)
        return UncertaintyMaps(zeros, zeros, by_class, by_class, np.zeros((height, width), np.uint16))

    def close(self) -> None:
        """Nothing is held."""


def constant_row(
    value: float = 0.5, classes: int = 2, regions: RegionSpec = _GRID, embedding_size: int = 0
) -> FrameRow:
    """A valid row whose every position is alike.

    value: entropy in nats, of which half is mutual information, shared evenly by `classes` classes; also the
    variation ratio, least confidence, margin and every number of the embedding.
    """
    quantity = {"expected_entropy": value / 2, "mutual_information": value / 2}
    of_class = {"entropy": value / classes, "mutual_information": value / 2 / classes}
    return FrameRow(
        statistics=np.array([[quantity.get(q, value)] * len(STATISTICS) for q in QUANTITIES]),
        by_class=np.array([[of_class.get(q, 1 / classes)] * classes for q in CLASS_QUANTITIES]),
        regions=np.array([[quantity.get(q, value)] * (regions.rows * regions.columns) for q in REGION_QUANTITIES]),
        embedding=np.full(embedding_size, value),
        region_argmax=np.full((regions.rows * regions.columns, classes), 1 / classes),
    )


def null_engine(
    frame_size: tuple[int, int] = (4, 6), classes: tuple[str, ...] = ("road", "car"), embedding_size: int = 0
) -> FunctionEngine:
    """An engine that says the same of every frame, at no cost: what remains of a measurement is the stream."""
    row = constant_row(classes=len(classes), embedding_size=embedding_size)
    return FunctionEngine(
        lambda _: row,
        ensemble_id="null-000000000000",
        classes=classes,
        frame_size=frame_size,
        embedding_size=embedding_size,
    )
