"""What a candidate is worth: the product of objective ** strength, of which greedy takes the largest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Diversity, Score
from fleetsift.selectors.compiled import compile_cached
from fleetsift.selectors.diversity import NearestCentre
from fleetsift.selectors.pool import F64, Pool, Rows

DIVERSITY = "diversity"


class Worth:
    """The factors of every candidate: scores stay as they are, the distance to the nearest centre falls with each pick.

    While nothing is picked or labelled there is no distance, and the factor of diversity is 1 for everybody.
    """

    def __init__(self, pool: Pool, objectives: Sequence[Score | Diversity]) -> None:
        """Raises SelectionError for a score that has no place in a product, or that the pool was read without."""
        self._scores = {o.expression: score_factor(pool, o) for o in objectives if isinstance(o, Score)}
        self._merit = np.ones(len(pool))
        for factor in self._scores.values():
            self._merit = self._merit * factor
        self._strength = next((o.strength for o in objectives if isinstance(o, Diversity)), None)
        self._nearest = None if self._strength is None else NearestCentre(pool)

    def of(self, rows: Rows) -> F64:
        """The product for each of these rows, as far as they are up to date."""
        distance = self._distance_factor(rows)
        return self._merit[rows] if distance is None else self._merit[rows] * distance

    def bring_up_to_date(self) -> None:
        """Let everybody's distance know of every pick."""
        if self._nearest is not None:
            self._nearest.bring_up_to_date()

    def watch(self, rows: Rows) -> None:
        """From here on, let the distances of these rows know of a pick at once."""
        if self._nearest is not None:
            self._nearest.watch(rows)

    def pick(self, row: int) -> None:
        """Count a pick among those to be distant from."""
        if self._nearest is not None:
            self._nearest.add(row)

    def factors(self, row: int) -> dict[str, float]:
        """The factors of one row, by expression and `diversity`; their product in this order is what it is worth."""
        factors = {expression: float(factor[row]) for expression, factor in self._scores.items()}
        if self._nearest is not None:
            distance = self._distance_factor(np.array([row]))
            factors[DIVERSITY] = 1.0 if distance is None else float(distance[0])
        return factors

    def nearest_centre(self, row: int) -> tuple[str | None, float | None]:
        """The frame_id of the pick or labelled frame nearest to a row, and its distance; None where there is none."""
        if self._nearest is None or not self._nearest.has_centre:
            return None, None
        return self._nearest.name(row), float(self._nearest.distances(np.array([row]))[0])

    def _distance_factor(self, rows: Rows) -> F64 | None:
        if self._nearest is None or self._strength is None or not self._nearest.has_centre:
            return None
        return raise_to(self._nearest.distances(rows), self._strength)


def score_factor(pool: Pool, score: Score) -> F64:
    """One score ** strength of every candidate, (N,).

    Raises SelectionError for a negative score, because the product of two of them would make a good one, and for a
    power that is beyond float64.
    """
    values = pool.score(score.expression)
    field = f"selection.objectives.score {score.expression!r}"
    if negative := int((values < 0).sum()):
        raise SelectionError(
            f"{field}: expected 0 or more, {negative} of {len(pool)} candidates have less; "
            f"take greatest({score.expression}, 0) or exp({score.expression})"
        )
    factor = raise_to(values, score.strength)
    if not np.isfinite(factor).all():
        raise SelectionError(f"{field}: expected finite powers, got infinity; lower the strength {score.strength:g}")
    return factor


def raise_to(values: F64, strength: float) -> F64:
    """values ** strength (N,) for values of 0 and more; a strength of 0 gives 1, also for a value of 0."""
    return values if strength == 1 else _powers(values, strength)


@compile_cached
def _powers(values: F64, strength: float) -> F64:
    # One by one: NumPy's vector routine may give a value another last bit in another place of the array.
    powers = np.empty_like(values)
    for i in range(values.shape[0]):
        powers[i] = values[i] ** strength
    return powers
