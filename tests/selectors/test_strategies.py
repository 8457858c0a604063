"""A strategy is a specification with a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleetsift.engines.rows import FrameRow, gather_rows
from fleetsift.errors import ConfigError, SelectionError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.reading import parse_yaml
from fleetsift.schemas.selection import STRATEGIES, Cap, SelectionSpec
from fleetsift.selectors.select import select_batch
from fleetsift.selectors.strategies import apply_strategy
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame
from tests.store.conftest import NAMESPACE, make_refs

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


def test_equal_takes_the_frames_that_their_mirror_images_contradict_most(tmp_path: Path) -> None:
    refs = make_refs(range(8))
    disagreement = [0.1 * (i * 5 % 8) for i in range(8)]
    rows = [
        FrameRow(np.ones((6, 3)), np.ones((4, 2)), np.ones((2, 0)), np.zeros(0), equal=np.array([value, 0.5]))
        for value in disagreement
    ]
    layout = RowLayout(NAMESPACE.ensemble_id, 2)
    writer = StoreWriter(StoreSpec(path=str(tmp_path), flush_rows=100), NAMESPACE, layout, [0])
    writer.append(refs, gather_rows(rows, NAMESPACE.classes, None, 0, equal=True))
    writer.flush()
    with ScoreStore(tmp_path) as store:
        spec = apply_strategy(store, "equal", SelectionSpec(budget=3, constraints=()))
        picks = select_batch(store, spec).picks
        assert picks == select_batch(store, SelectionSpec(budget=3, constraints=(), strategy="equal")).picks
    best = sorted(range(8), key=lambda i: -disagreement[i])[:3]
    assert [pick.frame_id for pick in picks] == [refs[i].frame_id for i in best]


def test_a_strategy_in_yaml_is_the_one_at_the_command_line_and_stands_alone() -> None:
    for name in STRATEGIES:
        if name != "equal":
            written = parse_yaml(f"{{budget: 9, seed: 3, strategy: {name}}}", SelectionSpec, "yaml")
            assert written == apply_strategy(STORE, name, SelectionSpec(budget=9, seed=3))
            assert written == msgspec.json.decode(msgspec.json.encode(written), type=SelectionSpec)
    with pytest.raises(ConfigError, match="strategy: expected no objectives and no round_robin beside coral"):
        parse_yaml("{strategy: coral, objectives: [{kind: random}]}", SelectionSpec, "yaml")
    with pytest.raises(ConfigError, match=r"yaml strategy: .*badge.* \(one of bald, coral"):
        parse_yaml("{strategy: badge}", SelectionSpec, "yaml")
    with pytest.raises(ValueError, match=r"strategy: expected one of random, entropy, .*, got 'badge'; choose one"):
        SelectionSpec(strategy="badge")  # type: ignore[arg-type]


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
        "write `views: [identity, hflip]` in the ensemble file and score again, or name another score"
    )
    with pytest.raises(SelectionError, match=r"^selection.objectives\[0\].expression: expected a store with equal"):
        select_batch(STORE, SelectionSpec(strategy="equal"))


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        (
            "coreset",
            {"embedding": None},
            "expected embeddings, the store has none; name the networks' embedding output",
        ),
        (
            "bald",
            {"score": 0.0},
            "expected more than 0 from 'mutual_information.mean' for some candidate, got 0",
        ),
        ("uniform-time", {"captured_at": None}, "expected a value for some candidate, got NULL for all of 3; "),
    ],
)
def test_a_store_that_a_strategy_can_do_nothing_with_is_told_what_it_lacks(
    name: str, changes: dict[str, object], complaint: str
) -> None:
    store = FramesInDuckDB([frame(f"f-{i}", **changes) for i in range(3)])
    with pytest.raises(SelectionError) as refusal:
        select_batch(store, apply_strategy(store, name, SelectionSpec(budget=2)))
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
