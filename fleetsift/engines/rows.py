"""The numbers of one frame, and how the rows of a batch become FrameScores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import (
    EQUAL_DISTANCES,
    F32,
    OBJECT_QUANTITIES,
    QUANTITIES,
    REGION_QUANTITIES,
    ByClass,
    EqualScores,
    FrameScores,
    ObjectScores,
    RegionGrid,
    Statistic,
    Task,
    has_independent_classes,
    quantities_of,
)
from fleetsift.schemas.status import Problem

STATISTICS = ("mean", "max", "top")
CLASS_QUANTITIES = ("entropy", "mutual_information", "area", "argmax")

# Members that are certain and split evenly leave classes equal but for rounding, and every engine rounds otherwise:
# for `argmax` a class wins against those before it only where its P is larger by more than this.
TIE = 1e-6


def class_quantities_of(task: Task) -> tuple[str, ...]:
    """What a task says of every class: which one is the answer, only where one is."""
    return tuple(q for q in CLASS_QUANTITIES if not (has_independent_classes(task) and q == "argmax"))


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame's scores before they are rounded to float32."""

    statistics: NDArray[np.float64]  # (quantity, statistic) in the order of `quantities_of(task)` and STATISTICS
    by_class: NDArray[np.float64]  # (quantity, C) in the order of `class_quantities_of(task)`
    regions: NDArray[np.float64]  # (quantity, rows * columns) in the order of REGION_QUANTITIES; no cells without grid
    embedding: NDArray[np.floating]  # (D,)
    objects: NDArray[np.float64] | None = None  # (quantity,) in the order of OBJECT_QUANTITIES, where boxes are found
    equal: NDArray[np.float64] | None = None  # (distance,) in the order of EQUAL_DISTANCES, where views are compared
    region_argmax: NDArray[np.float64] | None = (
        None  # (rows * columns, C) as `argmax` in each cell, where there are both
    )


def gather_rows(
    rows: Sequence[FrameRow | Problem],
    classes: tuple[str, ...],
    regions: RegionSpec | None,
    embedding_size: int,
    task: Task = "semantic_segmentation",
    *,
    objects: bool = False,
    equal: bool = False,
) -> FrameScores:
    """Put N rows together in order; where there is a problem instead of a row, every number is NaN.

    regions: None where a frame is one position. objects, equal: whether rows have some.
    """
    n = len(rows)
    quantities, class_quantities = quantities_of(task), class_quantities_of(task)
    grid_size = regions.rows * regions.columns if regions else 0
    statistics = np.full((n, len(quantities), len(STATISTICS)), np.nan, np.float32)
    by_class = np.full((n, len(class_quantities), len(classes)), np.nan, np.float32)
    cells = np.full((n, len(REGION_QUANTITIES), grid_size), np.nan, np.float32)
    cell_classes = np.full((n, grid_size * len(classes)), np.nan, np.float32)
    embedding = np.full((n, embedding_size), np.nan, np.float32)
    of_objects = np.full((n, len(OBJECT_QUANTITIES)), np.nan, np.float32)
    of_views = np.full((n, len(EQUAL_DISTANCES)), np.nan, np.float32)
    for i, row in enumerate(rows):
        if isinstance(row, FrameRow):
            statistics[i], by_class[i], cells[i], embedding[i] = (
                row.statistics,
                row.by_class,
                row.regions,
                row.embedding,
            )
            if row.objects is not None:
                of_objects[i] = row.objects
            if row.equal is not None:
                of_views[i] = row.equal
            if row.region_argmax is not None:
                cell_classes[i] = row.region_argmax.ravel()
    found = {q: Statistic(*(values_ns.T)) for q, values_ns in _named(quantities, statistics).items()}
    return FrameScores(
        classes=classes,
        **_or_none(QUANTITIES, found),
        by_class=ByClass(**_or_none(CLASS_QUANTITIES, _named(class_quantities, by_class))),
        regions=_grid(regions, cells, cell_classes if "argmax" in class_quantities else None) if regions else None,
        embedding=embedding,
        problems=tuple(row if isinstance(row, Problem) else None for row in rows),
        objects=ObjectScores(**_named(OBJECT_QUANTITIES, of_objects)) if objects else None,
        equal=EqualScores(**_named(EQUAL_DISTANCES, of_views)) if equal else None,
    )


def _grid(regions: RegionSpec, cells: F32, argmax: F32 | None) -> RegionGrid:
    return RegionGrid(regions.rows, regions.columns, **_named(REGION_QUANTITIES, cells), argmax=argmax)


def _or_none(names: tuple[str, ...], found: Mapping[str, Any]) -> dict[str, Any]:
    """What was found under each name, None where the task does not have it."""
    return {name: found.get(name) for name in names}


def _named(names: tuple[str, ...], values_nq: F32) -> dict[str, F32]:
    return {name: values_nq[:, q] for q, name in enumerate(names)}
