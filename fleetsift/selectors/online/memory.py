"""The last frames and every pick as arrays, each frame with its distance to the nearest pick as it is now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetsift.selectors.pools.pool import F32, F64


class Memory:
    """A ring of the last frames; their order has no meaning, only what they are worth."""

    def __init__(self, most: int, balances: int = 0) -> None:
        self._most = most
        self._codes = np.zeros((balances, most), np.int64)  # of each balance's key
        self._count = 0
        self._scores = np.zeros(most)
        self._squared = np.full(most, np.inf)  # to the nearest pick
        self._vectors: F32 | None = None  # (most, D)
        self._picks: F32 = np.zeros((0, 0), np.float32)  # (room, D), the first `picked` of them in use
        self.picked = 0

    def __len__(self) -> int:
        return min(self._count, self._most)

    def remember(self, score: float, vector: F32 | None, squared: float, codes: Sequence[int] = ()) -> None:
        """Let a frame take the place of the oldest."""
        place = self._count % self._most
        self._count += 1
        self._scores[place], self._squared[place] = score, squared
        self._codes[:, place] = codes
        if vector is not None:
            if self._vectors is None:
                self._vectors = np.zeros((self._most, len(vector)), np.float32)
            self._vectors[place] = vector

    def pick(self, vector: F32) -> None:
        """Let everybody's distance know of a pick."""
        if self.picked == len(self._picks):
            room = np.zeros((max(64, 2 * self.picked), len(vector)), np.float32)
            room[: self.picked] = self._picks.reshape(-1, len(vector))
            self._picks = room
        self._picks[self.picked] = vector
        self.picked += 1
        if self._vectors is not None and len(self):
            np.minimum(
                self._squared[: len(self)],
                _squared_to(self._vectors[: len(self)], vector),
                out=self._squared[: len(self)],
            )

    def nearest_squared(self, vector: F32 | None) -> float:
        """Squared distance to the nearest pick; infinite before the first."""
        if vector is None or not self.picked:
            return float("inf")
        return float(_squared_to(self._picks[: self.picked], vector).min())

    def bound(self, place: int, strength: float | None, shares: Sequence[F64] = ()) -> float:
        """What the frame is worth now that so many of the remembered ones are worth more than, or as much as.

        shares: of each balance, the factor of every code.
        """
        worths = self._scores[: len(self)]
        if strength is not None and self.picked:
            worths = worths * np.sqrt(self._squared[: len(self)]) ** strength
        for factors, codes in zip(shares, self._codes[:, : len(self)], strict=True):
            worths = worths * factors[codes]
        place = min(place, len(self) - 1)
        return float(-np.partition(-worths, place)[place])


def _squared_to(vectors: F32, one: F32) -> F64:
    """Squared distances of N vectors (N, D) to one (D,), (N,); the same vector always gives the same number."""
    differences = vectors - one
    squared: F64 = np.einsum("nd,nd->n", differences, differences).astype(np.float64)
    return squared
