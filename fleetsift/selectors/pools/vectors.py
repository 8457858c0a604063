"""Embeddings as they stream in, gathered into one matrix without ever being there twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetsift.errors import SelectionError
from fleetsift.selectors.pools.pool import F32, NOBODY, Flags, Rows, measurable


class Vectors:
    """Embeddings in the order they came, block by block, until they are moved to their places."""

    def __init__(self) -> None:
        self._blocks: list[F32] = []  # (n, D) of a block's own D
        self._whole: list[Flags] = []  # (n,) of that D, and not too large for float32
        self._order: Rows = NOBODY  # row -> which came

    def append(self, column: Any) -> None:
        """Take an Arrow array of lists; what is NULL, shorter than others or without a distance is not whole."""
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        size = int(lengths.max(initial=0))
        whole = np.asarray(lengths == size) & (size > 0)
        block = np.zeros((len(lengths), size), np.float32)
        flat = column.filter(pa.array(whole)).flatten().to_numpy(zero_copy_only=False)
        block[whole] = flat.reshape(-1, size) if size else block[whole]
        self._blocks.append(block)
        self._whole.append(whole & measurable(block))

    def sort(self, order: Rows) -> None:
        """From here on, let row i be the one that came as number order[i]."""
        self._order = order

    def whole(self) -> Flags:
        """Which rows have a vector of the pool's dimension; raises SelectionError where no row has any."""
        size = self._size()
        if self._blocks and not size:
            raise SelectionError(
                "selection.objectives: expected embeddings, the store has none; name the networks' embedding output in "
                "the ensemble file, or select without diversity, similarity and typicality"
            )
        parts = [whole & (block.shape[1] == size) for block, whole in zip(self._blocks, self._whole, strict=True)]
        return np.concatenate([np.zeros(0, np.bool_), *parts])[self._order]

    def of(self, rows: Rows) -> F32:
        """Copies of the vectors of a few rows (K,), which are whole, (K, D)."""
        bounds = np.cumsum([0, *map(len, self._blocks)])
        copies = np.empty((len(rows), self._size()), np.float32)
        for k, row in enumerate(self._order[rows]):
            block = int(np.searchsorted(bounds, row, side="right")) - 1
            copies[k] = self._blocks[block][row - bounds[block]]
        return copies

    def move(self, places: Rows) -> F32:
        """Every row's vector at its place (N,), -1 for nowhere; (K, D) for K places. The blocks are given up."""
        matrix = np.empty((int(places.max(initial=-1)) + 1, self._size()), np.float32)
        came = np.empty_like(places)
        came[self._order] = places
        start = 0
        for i, block in enumerate(self._blocks):
            to = came[start : start + len(block)]
            if block.shape[1] == matrix.shape[1]:
                matrix[to[to >= 0]] = block[to >= 0]
            else:
                matrix[to[to >= 0]] = 0  # who has no whole vector, and a place for one
            start += len(block)
            self._blocks[i] = block[:0]  # page by page the matrix fills as the blocks go
            del block
        return matrix

    def _size(self) -> int:
        return max((block.shape[1] for block in self._blocks), default=0)


def vectors(column: Any) -> tuple[F32, Flags]:
    """A chunked column of lists as (N, D), and which of them are whole; raises SelectionError where none is."""
    gathered = Vectors()
    for chunk in column.chunks:
        gathered.append(chunk)
    gathered.sort(np.arange(len(column)))
    whole = gathered.whole()
    return gathered.move(np.arange(len(column))), whole
