"""The caps of a selection: who may still be picked, and what kept the others out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.selection import Cap
from fleetsift.selectors.pool import Pool


class Room:
    """How many more picks the caps admit; it shrinks with every pick, and a frame that is kept out stays out.

    Each cap is a partition matroid (Fisher, Nemhauser & Wolsey 1978): a frame may be picked while every cap of it has
    room, so no pick ever has to be taken back.
    """

    def __init__(self, pool: Pool, caps: Sequence[Cap]) -> None:
        """Begin with nothing picked; raises SelectionError where the pool lacks a cap's key."""
        self._caps = [(cap, pool.key(cap.key)) for cap in caps]
        self._left = [np.full(len(key.values), cap.most, np.int64) for cap, key in self._caps]
        self._picked = np.zeros(len(pool), np.bool_)
        self.open = np.ones(len(pool), np.bool_)  # (N,) who may be picked next

    def take(self, row: int) -> None:
        """Pick a candidate; raises ValueError where it may not be picked."""
        if not self.open[row]:
            raise ValueError(f"Room.take: expected a row that may be picked, got {row}")
        self._picked[row] = True
        self.open[row] = False
        for (_, key), left in zip(self._caps, self._left, strict=True):
            code = key.codes[row]
            if code >= 0:
                left[code] -= 1
                if not left[code]:
                    self.open &= key.codes != code

    def keys(self, row: int) -> dict[str, str]:
        """A candidate's value of each cap key; NULL values, which no cap counts, are not named."""
        return {cap.key: key.values[key.codes[row]] for cap, key in self._caps if key.codes[row] >= 0}

    def left(self, row: int) -> dict[str, int]:
        """How many more picks of a candidate's values each cap admits, by cap key."""
        return {
            cap.key: int(left[key.codes[row]])
            for (cap, key), left in zip(self._caps, self._left, strict=True)
            if key.codes[row] >= 0
        }

    def blocked_by(self) -> dict[str, int]:
        """How many candidates each cap alone keeps out, and `a and b`, how many both keep out."""
        pattern = np.zeros(len(self.open), np.int64)  # (N,) bit i: cap i is full for this candidate
        for i in range(len(self._caps)):
            pattern |= self._is_full(i).astype(np.int64) << i
        counts: dict[str, int] = {}
        for bits, count in zip(*np.unique(pattern[~self._picked], return_counts=True), strict=True):
            names = [cap.name for i, (cap, _) in enumerate(self._caps) if bits >> i & 1]
            if names:
                counts[" and ".join(names)] = int(count)
        return counts

    def _is_full(self, i: int) -> NDArray[np.bool_]:
        """(N,) whether one cap has no room left for each candidate."""
        codes = self._caps[i][1].codes
        without_null = np.append(self._left[i] == 0, np.False_)  # code -1 takes the last entry
        return without_null[codes]
