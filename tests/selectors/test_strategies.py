"""A strategy is a specification with a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import STRATEGIES, Cap, SelectionSpec
from fleetsift.selectors.select import select_batch
from fleetsift.selectors.strategies import apply_strategy
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame

START = datetime(2026, 1, 2, tzinfo=UTC)
STORE = FramesInDuckDB(
    [
        frame(
            f"f-{i:02}",
            session=f"s-{i // 20}",
            captured_at=START + timedelta(seconds=i * (1 if i < 30 else 20)),
            score=(i * 7 % 10) / 10,
            embedding=[float(i * 7 % 5), float(i * 11 % 4)],
        )
        for i in range(40)
    ]
)
SPEC = SelectionSpec(budget=9, seed=3, constraints=(Cap(most=6),))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "equal"])
def test_every_strategy_picks_a_whole_batch_within_the_callers_rules(name: str) -> None:
    spec = apply_strategy(STORE, name, SPEC)
    assert (spec.budget, spec.seed, spec.constraints) == (SPEC.budget, SPEC.seed, SPEC.constraints)
    picks = select_batch(STORE, spec).picks
    assert len(picks) == 9
    assert max(sum(pick.session_id == f"s-{s}" for pick in picks) for s in range(2)) <= 6


def test_uniform_time_takes_every_minute_before_a_second_frame_of_any() -> None:
    spec = apply_strategy(STORE, "uniform-time", SelectionSpec(budget=6, constraints=()))
    minutes = {20: 10, 30: 10, 33: 11, 36: 12, 39: 13}  # from this frame on; the first twenty are another session's
    picked = [int(pick.frame_id[2:]) for pick in select_batch(STORE, spec).picks]
    named = [max((first for first in minutes if first <= number), default=0) for number in picked]
    assert sorted(named) == [0, 20, 30, 33, 36, 39]


def test_a_round_robin_gives_way_to_another_strategy() -> None:
    turns = apply_strategy(STORE, "round-robin", SPEC)
    assert turns.round_robin is not None
    assert apply_strategy(STORE, "bald", turns).round_robin is None


def test_what_cannot_be_done_is_refused_in_one_line() -> None:
    with pytest.raises(SelectionError, match=r"strategy: expected one of random, .*, got 'badge'; choose one"):
        apply_strategy(STORE, "badge", SPEC)
    with pytest.raises(SelectionError) as refusal:
        apply_strategy(STORE, "equal", SPEC)
    assert str(refusal.value) == (
        "selection.strategy equal: expected a store with equal.jensen_shannon, tests-000000000000 was scored without; "
        "score with it, or choose another strategy"
    )
