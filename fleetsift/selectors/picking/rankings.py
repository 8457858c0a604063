"""Candidates by falling score, sorted only as far as somebody walks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fleetsift.selectors.pools.pool import F64, Rows

FIRST, GROWTH = 4096, 8


class Ranking:
    """N candidates by falling score, of equals the lowest row first; may be walked again and again."""

    def __init__(self, scores: F64) -> None:
        self._scores = scores
        self._sorted: list[Rows] = []
        self._rest: Rows = np.arange(len(scores))

    def __iter__(self) -> Iterator[int]:
        part = 0
        while part < len(self._sorted) or len(self._rest):
            if part == len(self._sorted):
                self._sort_more()
            yield from self._sorted[part].tolist()
            part += 1

    def _sort_more(self) -> None:
        """Sort the best of the rest: a number of them, and all that are equal to the last of these."""
        values, wanted = self._scores[self._rest], FIRST * GROWTH ** len(self._sorted)
        inside = values >= np.partition(values, -wanted)[-wanted] if wanted < len(values) else values > -np.inf
        best = self._rest[inside]
        self._sorted.append(best[np.argsort(-self._scores[best], kind="stable")])
        self._rest = self._rest[~inside]
