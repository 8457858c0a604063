"""From the maps of one frame to its row: mean, highest and top positions, and a coarse grid of means."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.reduction import Reduced
from fleetsift.engines.rows import FrameRow
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import F32, REGION_QUANTITIES, has_independent_classes


def frame_row(reduced: Reduced, embedding: F32, regions: RegionSpec | None, top_share: float) -> FrameRow:
    """The row of one frame from its maps; means are taken in float64.

    embedding: (D,). The grid is no finer than the maps; there is none where the frame is one position.
    """
    cells = [_region_means(reduced.map_of(q), regions) if regions else np.zeros(0) for q in REGION_QUANTITIES]
    maps = reduced.maps.reshape(len(reduced.maps), -1)
    tops = [_top_mean(positions, top_share) for positions in maps]
    return FrameRow(
        statistics=np.stack([maps.mean(axis=1, dtype=np.float64), maps.max(axis=1), tops], axis=1),
        by_class=reduced.class_means,
        regions=np.array(cells),
        embedding=embedding.copy(),
        region_argmax=_class_shares(reduced, regions)
        if regions and not has_independent_classes(reduced.task)
        else None,
    )


def _top_mean(positions: F32, share: float) -> float:
    """Mean over the ceil(share * positions) highest positions.

    Exact, and quick where many positions are equal, over which NumPy's partition crawls: of the highest values of at
    least so many strands, the last that counts is a lower bound for what is wanted, and few positions lie above it.
    """
    count = math.ceil(share * positions.size)
    length = max(1, positions.size // (2 * count))
    strands = positions[: positions.size // length * length].reshape(length, -1).max(axis=0)
    bound = np.partition(strands, -count)[-count]
    above = positions[positions > bound]
    if above.size > count:
        above = np.partition(above, -count)[-count:]
    return float((above.sum(dtype=np.float64) + (count - above.size) * np.float64(bound)) / count)


def _region_means(values_hw: F32, regions: RegionSpec) -> NDArray[np.float64]:
    """Means over the cells, rows first: the sums of whole cells by `reduceat`, which cuts where the next begins.

    Along the columns first: what lies side by side is added four times as fast.
    """
    height, width = values_hw.shape
    row_edges = np.arange(regions.rows + 1) * height // regions.rows
    column_edges = np.arange(regions.columns + 1) * width // regions.columns
    columns = np.add.reduceat(values_hw, column_edges[:-1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(columns, row_edges[:-1], axis=0)
    return (sums / np.outer(np.diff(row_edges), np.diff(column_edges))).ravel()


def _class_shares(reduced: Reduced, regions: RegionSpec) -> NDArray[np.float64]:
    """Of each cell the share of positions where each class has the largest P, (rows * columns, C)."""
    height, width = reduced.argmax.shape
    classes, cells = reduced.class_means.shape[1], regions.rows * regions.columns
    row_of = np.repeat(np.arange(regions.rows), np.diff(np.arange(regions.rows + 1) * height // regions.rows))
    column_of = np.repeat(
        np.arange(regions.columns), np.diff(np.arange(regions.columns + 1) * width // regions.columns)
    )
    cell = row_of[:, None] * regions.columns + column_of
    counts = np.bincount((cell * classes + reduced.argmax).ravel(), minlength=cells * classes).reshape(cells, classes)
    shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return shares
