"""The positions that a compiled reduction works on together, and the logits there: as the networks answered, or
enlarged on the way, so that logits at full size never stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.elementary import inlined
from fleetsift.schemas.scores import F32

TILE = 512  # positions: enough that entering a loop costs little, few enough that the classes of one member stay near
_HIGHEST = 8  # rows of a tile: of higher ones, too few columns would be left

_u64 = np.uint64
_0, _1 = _u64(0), _u64(1)

U64 = NDArray[np.uint64]


class Enlargement(NamedTuple):
    """From logits at (h, w) to (H, W), a whole number of times as many; every position lies between four of theirs.

    A column is the k-th of those of one of theirs: all k-th ones lie equally far between neighbours.
    """

    tops: U64  # the first row of each strip of tiles, and H: rows of a strip lie between the same two
    rows_between: U64  # (2, H) which two
    row_shares: F32  # (2, H) of the two
    column_starts: U64  # (W / w,) whether the k-th column lies between its own and the one before it
    column_shares: F32  # (2, W / w) of the two
    width: np.uint64  # w; zero where nothing is enlarged

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.row_shares.shape[1], int(self.width) * len(self.column_starts)


def enlarge_linearly(size: tuple[int, int], to: tuple[int, int]) -> Enlargement:
    """Linear between the centres of positions, as torch's `interpolate` and ONNX's `Resize` do.

    Raises ValueError where `to` is no multiple of `size`.
    """
    if any(many % few for few, many in zip(size, to, strict=True)):
        raise ValueError(f"enlarge_linearly: expected a multiple of {size}, got {to}")
    (height, width), factor = size, to[1] // size[1]
    at = _centres(to[0], height).clip(0, height - 1)
    lower = np.floor(at)
    rows_between = np.stack([lower, np.minimum(lower + 1, height - 1)]).astype(np.uint64)
    tops = [0]
    for y in range(1, to[0]):
        if y - tops[-1] == _HIGHEST or (rows_between[:, y] != rows_between[:, tops[-1]]).any():
            tops.append(y)
    within = _centres(factor, 1)  # from the centre of one position
    return Enlargement(
        np.array([*tops, to[0]], np.uint64),
        rows_between,
        _shares(at - lower),
        (within < 0).astype(np.uint64),
        _shares(np.where(within < 0, within + 1, within)),
        _u64(width),
    )


def _centres(many: int, few: int) -> NDArray[np.float64]:
    """Where the centres of many positions lie, counted in few."""
    return (np.arange(many, dtype=np.float64) + 0.5) * few / many - 0.5


def _shares(of_second: NDArray[np.float64]) -> F32:
    return np.stack([1 - of_second, of_second]).astype(np.float32)


AS_ANSWERED = Enlargement(
    np.array([0, 1], np.uint64),
    np.zeros((2, 1), np.uint64),
    np.ones((2, 1), np.float32),
    np.zeros(1, np.uint64),
    np.ones((2, 1), np.float32),
    _u64(0),
)  # positions are one row, however they lie


class Tile(NamedTuple):
    """Some of the k-th columns of neighbouring rows; all unsigned."""

    top: Any
    rows: Any
    k: Any
    left: Any  # of the columns, counted in the networks'
    columns: Any
    step: Any  # from one to the next
    size: Any  # rows * columns


@inlined
def tiles(enlargement: Enlargement, width: Any) -> Iterator[Tile]:
    """Every tile of maps that are so wide, in the order they are worked on."""
    step = _u64(len(enlargement.column_starts))
    few = _u64(width) // step
    for strip in range(len(enlargement.tops) - 1):
        top = enlargement.tops[strip]
        rows = enlargement.tops[strip + 1] - top
        count = _1 + (few - _1) // (_u64(TILE) // rows)  # of a row of tiles, all but its last alike
        most = _1 + (few - _1) // count
        for k in range(step):
            for left in range(_0, few, most):
                columns = min(most, few - left)
                yield Tile(top, rows, k, left, columns, step, rows * columns)


@inlined
def copy_tile(values_jx: F32, j: Any, tile: Tile, to_iyx: F32, i: Any) -> None:
    """Row j to its places in plane i of (I, H, W)."""
    first = tile.left * tile.step + tile.k
    for y in range(tile.rows):
        for x in range(tile.columns):
            to_iyx[i, tile.top + y, first + x * tile.step] = values_jx[j, y * tile.columns + x]


@inlined
def copy_argmax(argmax_1x: Any, tile: Tile, to_yx: Any) -> None:
    """The most probable classes to their places in (H, W)."""
    first = tile.left * tile.step + tile.k
    for y in range(tile.rows):
        for x in range(tile.columns):
            to_yx[tile.top + y, first + x * tile.step] = argmax_1x[0, y * tile.columns + x]


@inlined
def recall(kept_kp: Any, k: Any, tile: Tile, to_jx: Any, j: Any) -> None:
    """Row k of what is kept of positions that are not enlarged, in a tile, to row j."""
    for x in range(tile.size):
        to_jx[j, x] = kept_kp[k, tile.left + x]


@inlined
def keep(values_jx: Any, j: Any, tile: Tile, to_kp: Any, k: Any) -> None:
    """Row j of a tile to where `recall` finds it."""
    for x in range(tile.size):
        to_kp[k, tile.left + x] = values_jx[j, x]


@inlined
def enlarge(logits_cp: F32, c: Any, enlargement: Enlargement, tile: Tile, edges_2x: F32, to_jx: F32, j: Any) -> None:
    """The logits of class c in a tile, to row j: along the columns first, once for all rows of the tile."""
    width, starts = enlargement.width, enlargement.column_starts[tile.k]
    near, far = enlargement.column_shares[0, tile.k], enlargement.column_shares[1, tile.k]
    leftmost = starts if tile.left == _0 else _0
    beyond = _1 if starts == _0 and tile.left + tile.columns == width else _0
    for side in range(_u64(2)):
        row = enlargement.rows_between[side, tile.top] * width
        start = row + tile.left - starts
        for x in range(leftmost, tile.columns - beyond):
            edges_2x[side, x] = logits_cp[c, start + x] * near + logits_cp[c, start + x + _1] * far
        if leftmost:
            edges_2x[side, _0] = logits_cp[c, row]
        if beyond:
            edges_2x[side, tile.columns - _1] = logits_cp[c, row + width - _1]
    for y in range(tile.rows):
        upper, lower = enlargement.row_shares[0, tile.top + y], enlargement.row_shares[1, tile.top + y]
        start = y * tile.columns
        for x in range(tile.columns):
            to_jx[j, start + x] = edges_2x[0, x] * upper + edges_2x[1, x] * lower
