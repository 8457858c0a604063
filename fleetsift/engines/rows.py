"""The numbers of one frame, and how the rows of a batch become FrameScores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import QUANTITIES, REGION_QUANTITIES, ByClass, FrameScores, RegionGrid, Statistic
from fleetsift.schemas.status import Problem

STATISTICS = ("mean", "max", "top")
CLASS_QUANTITIES = ("entropy", "mutual_information", "area", "argmax")

# Members that are certain and split evenly leave classes equal but for rounding, and every engine rounds otherwise:
# for `argmax` a class wins against those before it only where its P is larger by more than this.
TIE = 1e-6


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame's scores before they are rounded to float32."""

    statistics: NDArray[np.float64]  # (quantity, statistic) in the order of QUANTITIES and STATISTICS
    by_class: NDArray[np.float64]  # (quantity, C) in the order of CLASS_QUANTITIES
    regions: NDArray[np.float64]  # (quantity, rows * columns) in the order of REGION_QUANTITIES
    embedding: NDArray[np.floating]  # (D,)


def gather_rows(
    rows: Sequence[FrameRow | Problem], classes: tuple[str, ...], regions: RegionSpec, embedding_size: int
) -> FrameScores:
    """Put N rows together in order; where there is a problem instead of a row, every number is NaN."""
    n = len(rows)
    statistics = np.full((n, len(QUANTITIES), len(STATISTICS)), np.nan, np.float32)
    by_class = np.full((n, len(CLASS_QUANTITIES), len(classes)), np.nan, np.float32)
    cells = np.full((n, len(REGION_QUANTITIES), regions.rows * regions.columns), np.nan, np.float32)
    embedding = np.full((n, embedding_size), np.nan, np.float32)
    for i, row in enumerate(rows):
        if isinstance(row, FrameRow):
            statistics[i], by_class[i], cells[i], embedding[i] = (
                row.statistics,
                row.by_class,
                row.regions,
                row.embedding,
            )
    return FrameScores(
        classes=classes,
        **{
            quantity: Statistic(*(statistics[:, q, s] for s in range(len(STATISTICS))))
            for q, quantity in enumerate(QUANTITIES)
        },
        by_class=ByClass(**{quantity: by_class[:, q] for q, quantity in enumerate(CLASS_QUANTITIES)}),
        regions=RegionGrid(
            regions.rows, regions.columns, **{quantity: cells[:, q] for q, quantity in enumerate(REGION_QUANTITIES)}
        ),
        embedding=embedding,
        problems=tuple(row if isinstance(row, Problem) else None for row in rows),
    )
