"""From the maps of one frame to its row: mean, highest and top positions, and a coarse grid of means."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.reduction import Reduced
from fleetsift.engines.compiled.summaries import cell_means, cell_shares, top_means
from fleetsift.engines.rows import FrameRow
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import F32, REGION_QUANTITIES, has_independent_classes


def frame_row(reduced: Reduced, embedding: F32, regions: RegionSpec | None, top_share: float) -> FrameRow:
    """The row of one frame from its maps; means are taken in float64.

    embedding: (D,). The grid is no finer than the maps; there is none where the frame is one position.
    """
    maps = reduced.maps.reshape(len(reduced.maps), -1)
    tops = top_means(maps, math.ceil(top_share * maps.shape[1]))
    cells, shares = np.zeros((len(REGION_QUANTITIES), 0)), None
    if regions:
        edges = _edges(reduced.maps.shape[1], regions.rows), _edges(reduced.maps.shape[2], regions.columns)
        cells = np.empty((len(REGION_QUANTITIES), regions.rows * regions.columns))
        cell_means(np.stack([reduced.map_of(q) for q in REGION_QUANTITIES]), *edges, cells)
        if not has_independent_classes(reduced.task):
            shares = np.zeros((cells.shape[1], reduced.class_means.shape[1]))
            cell_shares(reduced.argmax, *edges, shares)
    return FrameRow(
        statistics=np.stack([maps.mean(axis=1, dtype=np.float64), maps.max(axis=1), tops], axis=1),
        by_class=reduced.class_means,
        regions=cells,
        embedding=embedding.copy(),
        region_argmax=shares,
    )


def _edges(size: int, parts: int) -> NDArray[np.int64]:
    """Where the parts of an axis begin, and its end."""
    return np.arange(parts + 1) * size // parts
