"""What is compiled of a frame's statistics: by NumPy, a small frame's dozens of calls took as long as its reduction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.elementary import compile_cached, inlined_sum
from fleetsift.engines.compiled.loops import F64, U16
from fleetsift.schemas.scores import F32

_f64 = np.float64


@compile_cached
def top_means(maps_qp: F32, count: int) -> F64:
    """Mean over the `count` highest positions of each map.

    Of the highest values of twice as many strands the last that counts is a lower bound for what is wanted, and few
    positions lie above it: those are sorted out, and what is missing is equal to the bound.
    """
    quantities, positions = maps_qp.shape
    length = max(1, positions // (2 * count))
    width = positions // length
    means, strands, above = np.empty(quantities), np.empty(width, np.float32), np.empty(positions, np.float32)
    for q in range(quantities):
        strands[:] = maps_qp[q, :width]
        for start in range(width, width * length, width):
            for x in range(width):
                value = maps_qp[q, start + x]
                strands[x] = value if value > strands[x] else strands[x]
        bound = np.partition(strands, width - count)[width - count]
        found = 0
        for x in range(positions):
            if maps_qp[q, x] > bound:
                above[found] = maps_qp[q, x]
                found += 1
        highest = above[:found]
        if found > count:
            highest = np.partition(highest, found - count)[found - count :]
        missing = count - len(highest)
        means[q] = (_sum(highest, 0, len(highest)) + missing * _f64(bound)) / count
    return means


@compile_cached
def cell_means(maps_qyx: F32, row_edges: NDArray[np.int64], column_edges: NDArray[np.int64], means_qk: F64) -> None:
    """Means over the cells between the edges, rows of cells first."""
    quantities, columns = len(maps_qyx), len(column_edges) - 1
    for q in range(quantities):
        for i in range(len(row_edges) - 1):
            for j in range(columns):
                left, right = column_edges[j], column_edges[j + 1]
                found = 0.0
                for y in range(row_edges[i], row_edges[i + 1]):
                    found += _sum(maps_qyx[q, y], left, right)
                means_qk[q, i * columns + j] = found / ((row_edges[i + 1] - row_edges[i]) * (right - left))


@compile_cached
def cell_shares(argmax_yx: U16, row_edges: NDArray[np.int64], column_edges: NDArray[np.int64], shares_kc: F64) -> None:
    """Of each cell the share of positions with each class; the shares come as zeros."""
    columns = len(column_edges) - 1
    for i in range(len(row_edges) - 1):
        for j in range(columns):
            left, right = column_edges[j], column_edges[j + 1]
            for y in range(row_edges[i], row_edges[i + 1]):
                for x in range(left, right):
                    shares_kc[i * columns + j, argmax_yx[y, x]] += 1
            shares_kc[i * columns + j] /= (row_edges[i + 1] - row_edges[i]) * (right - left)


@inlined_sum
def _sum(values_x: Any, start: Any, stop: Any) -> Any:
    found = 0.0
    for x in range(start, stop):
        found += _f64(values_x[x])
    return found
