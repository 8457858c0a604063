"""What a candidate is worth: the product of objective ** strength, of which greedy takes the largest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Diversity,
    Objective,
    Random,
    Score,
    SelectionSpec,
    Similarity,
    Typicality,
)
from fleetsift.selectors.objectives.balance import AreaShares, Shares
from fleetsift.selectors.objectives.diversity import NearestCentre
from fleetsift.selectors.objectives.draws import draw
from fleetsift.selectors.objectives.powers import raise_to
from fleetsift.selectors.objectives.similarity import MEASURES
from fleetsift.selectors.objectives.typicality import typicality
from fleetsift.selectors.pools.pool import F64, Pool, Rows


class Worth:
    """The factors of every candidate: some stay as they are, those of diversity and balance fall with each pick.

    While nothing is picked or labelled, there is no distance, and the factor of diversity is 1 for everybody.
    """

    def __init__(self, pool: Pool, spec: SelectionSpec) -> None:
        """Raises SelectionError for a score that has no place in a product, or that the pool was read without."""
        self._pool, self._spec = pool, spec
        self._static = {o.name: static_factor(pool, spec.seed, o) for o in spec.objectives if type(o) in STATIC}
        self._merit = np.ones(len(pool))
        for factor in self._static.values():
            self._merit = self._merit * factor
        self._diversity = next((o for o in spec.objectives if isinstance(o, Diversity)), None)
        self._nearest = None if self._diversity is None else NearestCentre(pool)
        self._shares = _shares(pool, spec)

    def of(self, rows: Rows) -> F64:
        """The product for each of these rows; no less than that for one that is not up to date."""
        distance = self._distance_factor(rows)
        product = self._merit[rows] if distance is None else self._merit[rows] * distance
        for shares in self._shares.values():
            product = product * shares.of(rows)
        return product

    def bring_up_to_date(self, rows: Rows) -> None:
        """Let the distances of these rows know of every pick; those of others may still be too large."""
        if self._nearest is not None:
            self._nearest.bring_up_to_date(rows)

    def watch(self, rows: Rows) -> None:
        """From here on, let the distances of these rows know of a pick at once."""
        if self._nearest is not None:
            self._nearest.watch(rows)

    def pick(self, row: int) -> None:
        """Count a pick among those to be distant from, and in the shares of its values."""
        if self._nearest is not None:
            self._nearest.add(row)
        for shares in self._shares.values():
            shares.pick(row)

    def rewound(self, picks: Rows) -> Worth:
        """As it was after the first of its picks, which are these; this one stays as it is."""
        earlier = copy(self)
        earlier._shares = _shares(self._pool, self._spec)
        for shares in earlier._shares.values():
            for row in picks.tolist():
                shares.pick(row)
        if self._nearest is not None:
            earlier._nearest = self._nearest.rewound(picks)
        return earlier

    def factors(self, row: int) -> dict[str, float]:
        """The factors of one row, by the objectives' names; their product in this order is what it is worth."""
        factors = {name: float(factor[row]) for name, factor in self._static.items()}
        if self._diversity is not None:
            distance = self._distance_factor(np.array([row]))
            factors[self._diversity.name] = 1.0 if distance is None else float(distance[0])
        return factors | {name: float(shares.of(np.array([row]))[0]) for name, shares in self._shares.items()}

    def nearest_centre(self, row: int) -> tuple[str | None, float | None]:
        """The frame_id of the pick or labelled frame nearest to a row, and its distance; None where there is none."""
        if self._nearest is None or not self._nearest.has_centre:
            return None, None
        return self._nearest.name(row), float(self._nearest.distances(np.array([row]))[0])

    def _distance_factor(self, rows: Rows) -> F64 | None:
        if self._nearest is None or self._diversity is None or not self._nearest.has_centre:
            return None
        return raise_to(self._nearest.distances(rows), self._diversity.strength)


def _shares(pool: Pool, spec: SelectionSpec) -> dict[str, Shares | AreaShares]:
    """The balances by name, with what was labelled or picked before counted in them."""
    found: dict[str, Shares | AreaShares] = {
        o.name: SHARES[type(o)](pool, o) for o in spec.objectives if type(o) in SHARES
    }
    for shares in found.values():
        for row in [*(pool.labelled if "balance" in spec.labelled.counts_in else ()), *pool.earlier]:
            shares.pick(int(row))
    return found


def static_factor(pool: Pool, seed: int, objective: Objective) -> F64:
    """One objective ** strength of every candidate, (N,), where picks do not change it.

    Raises SelectionError for a power that is beyond float64, and what the objective's own function raises.
    """
    factor = raise_to(STATIC[type(objective)](pool, seed, objective), objective.strength)
    if not np.isfinite(factor).all():
        raise SelectionError(
            f"selection.objectives {objective.name!r}: expected finite powers, got infinity; "
            f"lower the strength {objective.strength:g}"
        )
    return factor


def _score(pool: Pool, _: int, score: Score) -> F64:
    """A score as it is; a negative one is refused, because the product of two of them would make a good one."""
    values = pool.score(score.expression)
    if negative := int((values[pool.candidates] < 0).sum()):
        text = score.expression
        raise SelectionError(
            f"selection.objectives.score {text!r}: expected 0 or more, {negative} of {pool.candidates.sum()} "
            f"candidates have less; take greatest({text}, 0) or exp({text})"
        )
    return values


def _random(pool: Pool, seed: int, _: Random) -> F64:
    return draw(pool.frame_id, seed)


def _similarity(pool: Pool, _: int, similarity: Similarity) -> F64:
    return MEASURES[similarity.measure](pool.vectors(), pool.given_vectors(similarity.name))


def _typicality(pool: Pool, seed: int, objective: Typicality) -> F64:
    """Neighbours are sought among as many frames as the objective says, drawn by the seed."""
    own = np.flatnonzero(pool.own)
    among = np.sort(own[np.argsort(draw(pool.frame_id, seed)[own], kind="stable")[: objective.among]])
    return typicality(pool.vectors(), among, objective.neighbours)


STATIC: Mapping[type[Objective], Callable[[Pool, int, Any], F64]] = {
    Score: _score,
    Random: _random,
    Similarity: _similarity,
    Typicality: _typicality,
}
SHARES: Mapping[type[Objective], Callable[[Pool, Any], Shares | AreaShares]] = {
    Balance: Shares,
    AreaBalance: AreaShares,
}
