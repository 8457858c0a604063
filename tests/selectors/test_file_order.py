"""The same frames in any files, in any order, of any number of partitions: the same batch, every receipt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import Position
from fleetsift.schemas.selection import AreaBalance, Balance, Cap, Diversity, Gap, Quota, Score, SelectionSpec
from fleetsift.selectors.select import select_batch
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.report.drawn_fleet import CLASSES, ENSEMBLE, FRAMES, drawn_scores, references
from tests.store.conftest import new_store  # noqa: F401 - a fixture

SPEC = SelectionSpec(
    budget=40,
    objectives=(Score(), Diversity(), Balance(key="camera"), AreaBalance(strength=0.5)),
    constraints=(Cap(most=9), Gap(least_s=2), Quota(key="camera", value="rear", least=3)),
)


def some(value: Any, rows: list[int]) -> Any:
    """The same scores, of some frames in some order."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value[rows])
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: some(getattr(value, f.name), rows) for f in fields(value)})
    return tuple(value[row] for row in rows) if isinstance(value, tuple) and len(value) == FRAMES else value


def write(path: Path, order: list[int], partitions: int, files: list[int]) -> ScoreStore:
    """All frames, dealt to some partitions in an order, of each partition some at a time as a file."""
    refs, scores = references(), drawn_scores()
    for partition in range(partitions):
        rows = order[partition::partitions]
        writer = StoreWriter(
            StoreSpec(path=str(path)), Namespace("t", "", ENSEMBLE, CLASSES), RowLayout(ENSEMBLE, 4), [partition]
        )
        offset = 0
        for size in files:
            part = rows[offset : offset + size]
            placed = [replace(refs[row], position=Position("t", partition, offset + k)) for k, row in enumerate(part)]
            if part:
                writer.append(placed, some(scores, part))
                writer.flush()
            offset += len(part)
    return ScoreStore(path)


@given(st.randoms(use_true_random=False), st.integers(1, 4), st.lists(st.integers(1, 120), max_size=3))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_partitions_and_the_order_of_rows_change_no_pick(
    new_store: Callable[[], Path],  # noqa: F811
    random: Any,
    partitions: int,
    files: list[int],
) -> None:
    order = list(range(FRAMES))
    with write(new_store(), order, 1, [FRAMES]) as store:
        expected = select_batch(store, SPEC)
    random.shuffle(order)
    with write(new_store(), order, partitions, [*files, FRAMES]) as store:
        assert select_batch(store, SPEC) == expected
    assert len(expected.picks) == SPEC.budget
