"""What each objective promises on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Objective,
    Random,
    SelectionSpec,
    Similarity,
    Target,
    Typicality,
)
from fleetsift.selectors.objectives.draws import draw
from fleetsift.selectors.objectives.factors import static_factor
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.select import select
from tests.selectors.drawn_pools import encode, large_pool, names


def pool_of(values: Sequence[str | None]) -> Pool:
    n = len(values)
    return Pool("e", names("f", n), names("s", n), names("u", n), keys={"weather": encode(values)})


def pool_at(points: Sequence[Sequence[float]], given: Sequence[Sequence[float]] = ((0.0,),)) -> Pool:
    n = len(points)
    return Pool(
        *("e", names("f", n), names("s", n), names("u", n)),
        embedding=np.array(points, np.float32),
        given={"similarity": np.array(given, np.float32)},
    )


def picked(pool: Pool, budget: int, objective: Objective, seed: int = 0) -> list[str]:
    spec = SelectionSpec(budget=budget, seed=seed, objectives=(objective,), constraints=())
    return [pick.frame_id for pick in select(pool, spec).picks]


def divisions(budget: int, supply: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every way to take so many of what there is."""
    return (counts for counts in product(*(range(most + 1) for most in supply)) if sum(counts) == budget)


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    st.sampled_from(["uniform", "pool", {"a": 4.0, "b": 2.0, "c": 1.0}]),
    st.integers(1, 12),
)
@settings(max_examples=100, deadline=None)
def test_no_division_of_the_batch_is_nearer_to_the_wanted_one(values: list[str], target: Target, budget: int) -> None:
    supply = Counter(values)
    budget = min(budget, len(values))
    uniform_or_pool = supply if target == "pool" else dict.fromkeys("abc", 1)
    weights = {value: target[value] if isinstance(target, dict) else uniform_or_pool[value] for value in supply}
    wanted = {value: budget * weight / sum(weights.values()) for value, weight in weights.items()}

    def miss(counts: Mapping[str, int]) -> float:
        return sum((counts.get(value, 0) - share) ** 2 / share for value, share in wanted.items())

    balance = Balance(key="weather", target=target)
    spec = SelectionSpec(budget=budget, objectives=(balance,), constraints=(Cap(key="weather", most=12),))
    got = Counter(pick.keys["weather"] for pick in select(pool_of(values), spec).picks)
    best = min(miss(dict(zip(supply, counts, strict=True))) for counts in divisions(budget, list(supply.values())))
    assert miss(got) == pytest.approx(best)


def test_what_a_value_cannot_fill_goes_to_the_others_and_a_null_comes_last() -> None:
    values = ["rain"] * 2 + [None] * 2 + ["sun"] * 20 + ["fog"] * 20
    pool = pool_of(values)
    weather = dict(zip(pool.frame_id.to_pylist(), values, strict=True))

    def counts(budget: int, target: Target = "uniform") -> Counter[str | None]:
        batch = picked(pool, budget, Balance(key="weather", target=target))
        return Counter(weather[frame_id] for frame_id in batch)

    assert counts(6) == {"rain": 2, "sun": 2, "fog": 2}
    assert counts(12) == {"rain": 2, "sun": 5, "fog": 5}
    assert counts(44)[None] == 2
    assert counts(42)[None] == 0
    assert counts(8, target={"sun": 3.0, "fog": 1.0}) == {"sun": 6, "fog": 2}
    assert counts(21, target="pool") == {"rain": 1, "sun": 10, "fog": 10}


def test_a_balance_against_a_cap_fills_with_the_others() -> None:
    pool = pool_of(["rain"] * 9 + ["sun"] * 9)
    spec = SelectionSpec(budget=9, objectives=(Balance(key="weather"),), constraints=(Cap(key="weather", most=5),))
    assert Counter(pick.keys["weather"] for pick in select(pool, spec).picks) == {"rain": 5, "sun": 4}


def test_areas_are_balanced_as_values_are_where_a_frame_is_of_one_class() -> None:
    values = ["rain"] * 2 + ["sun"] * 20 + ["fog"] * 20
    keyed = pool_of(values)
    areas = {value: np.array([float(value == other) for other in values]) for value in ("rain", "sun", "fog")}
    n = len(values)
    shown = Pool("e", names("f", n), names("s", n), names("u", n), areas={"area": areas})
    assert picked(shown, 30, AreaBalance()) == picked(keyed, 30, Balance(key="weather"))
    weights = {"sun": 3.0, "fog": 1.0}
    assert picked(shown, 30, AreaBalance(target=weights)) == picked(keyed, 30, Balance(key="weather", target=weights))


def test_a_negative_area_is_refused() -> None:
    areas = {"area": {"road": np.array([-1.0])}}
    pool = Pool("e", names("f", 1), names("s", 1), names("u", 1), areas=areas)
    with pytest.raises(SelectionError, match="expected areas of 0 and more, road has less"):
        picked(pool, 1, AreaBalance())
    with pytest.raises(SelectionError, match=r"Pool.areas: expected 'argmax', got \['area'\]"):
        picked(pool, 1, AreaBalance(areas="argmax"))


@pytest.mark.parametrize("target", [{}, {"rain": 0.0}, {"rain": float("inf")}, {"rain": float("nan")}])
def test_a_target_has_a_sum(target: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="target: expected weights with a finite sum above 0"):
        Balance(key="weather", target=target)


def test_a_lot_depends_on_seed_and_name_alone() -> None:
    frame_ids = names("f", 1000)
    drawn = draw(frame_ids, 7)
    assert (draw(frame_ids[100:110], 7) == drawn[100:110]).all()
    assert (draw(frame_ids, 8) != drawn).all()
    assert 0 < drawn.min() < 0.01
    assert 0.99 < drawn.max() <= 1
    assert abs(drawn.mean() - 0.5) < 0.03
    pool = large_pool(1000)
    assert picked(pool, 20, Random(), seed=1) != picked(pool, 20, Random(), seed=2)
    assert picked(pool, 20, Random(), seed=1) == picked(pool, 40, Random(), seed=1)[:20]


def test_similarity_is_named_and_to_the_nearest_of_the_given() -> None:
    pool = pool_at([[3, 0], [0, 1], [-2, 0], [0, 0], [1, 1]], given=[[2, 0], [0, 0]])
    assert static_factor(pool, 0, Similarity(frames=("x",))) == pytest.approx([1, 0.5, 0, 0.5, (1 + 0.5**0.5) / 2])
    distance = static_factor(pool, 0, Similarity(frames=("x",), measure="distance"))
    assert distance == pytest.approx([0.5, 0.5, 1 / 3, 1, 1 / (1 + 2**0.5)])
    assert static_factor(pool_at([[1, 0]], given=[[0, 0]]), 0, Similarity(frames=("x",))) == [0.5]


def test_the_most_typical_lies_among_others() -> None:
    pool = pool_at([[0.0], [1.0], [1.5], [2.5], [9.0]])
    assert static_factor(pool, 0, Typicality(neighbours=2)) == pytest.approx([0.8, 4 / 3, 4 / 3, 0.8, 1 / 7])
    assert picked(pool, 1, Typicality(neighbours=2)) == ["f-001"]


def test_twins_are_as_typical_as_anybody_and_a_single_frame_is_typical() -> None:
    factors = static_factor(pool_at([[0.0], [0.0], [0.0], [5.0], [6.0]]), 0, Typicality(neighbours=2))
    assert factors[:3] == pytest.approx([1 / 3] * 3)
    assert factors == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3.5])
    assert static_factor(pool_at([[1.0]]), 0, Typicality()) == [1.0]
    assert (static_factor(pool_at([[1.0]] * 3), 0, Typicality()) == 1.0).all()


def test_typicality_among_a_part_of_the_pool_is_bounded_and_repeatable() -> None:
    pool = large_pool(3000)
    some = Typicality(neighbours=3, among=100)
    assert (static_factor(pool, 1, some) == static_factor(pool, 1, some)).all()
    assert (static_factor(pool, 1, some) != static_factor(pool, 2, some)).any()
