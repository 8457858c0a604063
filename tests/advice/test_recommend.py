"""A strategy follows from redundancy and budget alone, changes at its two bounds, and can be selected by its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.advice.recommend import REDUNDANT, SMALL, TABLE, Recommendation, recommend
from fleetsift.advice.redundancy import Redundancy
from fleetsift.schemas.scores import RankingQuantity
from fleetsift.schemas.selection import STRATEGIES


def pool_of(
    distinct: int, budget: int, labelled: int = 0, quantity: RankingQuantity = "mutual_information"
) -> Recommendation:
    """The advice for a pool of 1,000 frames, all of them looked at."""
    return recommend(Redundancy(0.1, 1.0, 0.5, distinct, 1000, quantity, ()), budget, labelled, pool_frames=1000)


@pytest.mark.parametrize(
    ("distinct", "budget", "labelled", "strategy"),
    [
        (599, 29, 0, "coreset"),  # below both bounds: 59.9 % and 4.8 %
        (599, 30, 0, "coral"),  # 5.01 %
        (600, 29, 0, "random"),  # at 60 % a pool is diverse
        (600, 30, 0, "bald"),  # at 5 % a budget is large
        (600, 10, 19, "random"),
        (600, 10, 20, "bald"),  # what is labelled counts with the budget
    ],
)
def test_advice_changes_at_the_bounds(distinct: int, budget: int, labelled: int, strategy: str) -> None:
    assert (REDUNDANT, SMALL) == (0.6, 0.05)
    assert pool_of(distinct, budget, labelled).strategy == strategy


@given(st.integers(1, 1000), st.integers(1, 2000), st.integers(0, 2000))
def test_the_figures_beside_a_recommendation_lead_to_it(distinct: int, budget: int, labelled: int) -> None:
    found = pool_of(distinct, budget, labelled)
    assert found.share_distinct == distinct / 1000
    assert found.share_spent == pytest.approx((budget + labelled) / distinct)
    assert found.redundant == (found.share_distinct < found.redundant_below)
    assert found.small_budget == (found.share_spent < found.small_below)
    assert (found.strategy, found.because) == TABLE[found.redundant, found.small_budget]


def test_a_sample_stands_for_its_pool() -> None:
    looked_at = Redundancy(0.1, 1.0, 0.5, distinct=500, frames=1000, quantity="entropy", budgets=())
    assert recommend(looked_at, 100, 0, pool_frames=1000).share_spent == pytest.approx(0.2)
    assert recommend(looked_at, 100, 0, pool_frames=100_000).share_spent == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("distinct", "budget", "strategy"),
    [(599, 29, "coreset"), (599, 30, "coreset"), (600, 29, "random"), (600, 30, "entropy")],
)
def test_one_network_is_not_asked_what_it_disagrees_about(distinct: int, budget: int, strategy: str) -> None:
    found = pool_of(distinct, budget, quantity="entropy")
    assert found.strategy == strategy
    assert found.strategy in STRATEGIES


def test_every_cell_names_another_strategy_that_select_takes() -> None:
    strategies = [strategy for strategy, _ in TABLE.values()]
    assert len(TABLE) == len(set(strategies)) == 4
    assert set(strategies) <= STRATEGIES.keys()
