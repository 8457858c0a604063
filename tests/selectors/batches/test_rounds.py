"""Rounds: a selection that continues others goes on exactly where they ended, and picks nothing again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Balance, Cap, Diversity, Gap, Labelled, Pick, Quota, Score, SelectionSpec
from fleetsift.selectors.batches.batch import read_batch, write_batch
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.pools.pool import Pool
from fleetsift.selectors.pools.reading import reason_left_out
from fleetsift.selectors.select import select, select_batch
from tests.selectors.drawn_pools import pools, round_robins, specs
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame


def continued(pool: Pool, picks: tuple[Pick, ...]) -> Pool:
    """The pool of the next round."""
    frame_ids = [pick.frame_id for pick in picks]
    row_of = {frame_id: row for row, frame_id in enumerate(pool.frame_id.to_pylist())}
    earlier = [*pool.earlier.tolist(), *(row_of[frame_id] for frame_id in frame_ids)]
    return replace(pool, earlier=np.array(earlier, np.int64), rounds=(*pool.rounds, *frame_ids))


@given(pools(), st.one_of(specs(), round_robins()), st.lists(st.integers(1, 5), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_rounds_are_one_selection_in_parts(pool: Pool, spec: SelectionSpec, budgets: list[int]) -> None:
    """Under any objectives and constraints: the same frames in the same order with the same receipts."""
    whole = select(pool, msgspec.structs.replace(spec, budget=sum(budgets))).picks
    parts: list[Pick] = []
    for budget in budgets:
        if not pool.candidates.any():
            break
        picks = select(pool, msgspec.structs.replace(spec, budget=budget)).picks
        pool = continued(pool, picks)
        parts += [replace(pick, rank=pick.rank + len(parts)) for pick in picks]
    assert tuple(parts) == whole


STORE = FramesInDuckDB(
    [
        frame(
            f"f-{i:02}",
            session=f"s-{i % 3}",
            camera="front" if i % 4 else "rear",
            score=(i * 7 % 10 + 1) / 10,
            embedding=[float(i * 7 % 13), float(i * 11 % 9)],
        )
        for i in range(40)
    ]
)
SPEC = SelectionSpec(budget=6, constraints=(Cap(most=5), Quota(key="camera", value="rear", least=3)))


def test_batches_on_disk_continue_each_other(tmp_path: Path) -> None:
    spec = SPEC
    parts: list[str] = []
    for number in range(3):
        batch = tmp_path / str(number)
        selection = select_batch(STORE, msgspec.structs.replace(spec, budget=4))
        write_batch(batch, selection, {})
        assert read_batch(batch) == selection
        assert selection.earlier == tuple(parts)
        parts += [pick.frame_id for pick in selection.picks]
        spec = msgspec.structs.replace(spec, continues=(str(batch),))  # the last batch alone: it knows those before it
    assert parts == [pick.frame_id for pick in select_batch(STORE, msgspec.structs.replace(SPEC, budget=12)).picks]
    assert read_rounds([tmp_path / "2"]) == read_rounds([tmp_path / "1", tmp_path / "2"]) == tuple(parts)
    assert reason_left_out(STORE, spec, parts[0]) == "picked earlier"


def test_what_the_store_cannot_count_is_told_and_does_not_come_back(tmp_path: Path) -> None:
    first = select_batch(STORE, SPEC)
    write_batch(tmp_path / "0", first, {})
    gone = first.picks[0].frame_id
    rest = FramesInDuckDB([frame(f"f-{i:02}", session=f"s-{i % 3}") for i in range(40) if f"f-{i:02}" != gone])
    second = select_batch(rest, msgspec.structs.replace(SPEC, continues=(str(tmp_path / "0"),)))
    assert second.uncounted == {"earlier": 1}
    assert second.left_out["picked earlier"] == len(first.picks) - 1
    assert second.earlier[0] == gone


def test_an_earlier_batch_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="nowhere: expected a batch"):
        select_batch(STORE, msgspec.structs.replace(SPEC, continues=(str(tmp_path / "nowhere"),)))


def test_labelled_frames_count_in_balance_and_where_they_are_told_to(tmp_path: Path) -> None:
    (tmp_path / "labelled.txt").write_text("f-00\nf-04\nf-08\n")  # all rear, of s-0, s-1 and s-2
    frames = (str(tmp_path / "labelled.txt"),)
    balanced = (Balance(key="camera"), Score(strength=0.001))

    def cameras(labelled: Labelled, *constraints: Cap | Gap | Quota) -> list[bool]:
        spec = SelectionSpec(budget=4, labelled=labelled, objectives=balanced, constraints=constraints)
        return [int(pick.frame_id[2:]) % 4 == 0 for pick in select_batch(STORE, spec).picks]

    assert cameras(Labelled(frames=frames))[:3] == [False, False, False]
    assert sum(cameras(Labelled(frames=frames, counts_in=()))) == 2
    capped = Cap(key="camera", most=3)
    assert sum(cameras(Labelled(frames=frames, counts_in=()), capped)) == 2
    assert sum(cameras(Labelled(frames=frames, counts_in=("caps",)), capped)) == 0
    due = Quota(key="camera", value="rear", least=4)
    assert sum(cameras(Labelled(frames=frames), due)) == 4
    assert sum(cameras(Labelled(frames=frames, counts_in=("balance", "quotas")), due)) == 1


def test_pure_diversity_in_two_rounds_is_diversity_in_one(tmp_path: Path) -> None:
    spec = SelectionSpec(budget=10, objectives=(Diversity(),), constraints=())
    write_batch(tmp_path / "1", select_batch(STORE, spec), {})
    second = select_batch(STORE, msgspec.structs.replace(spec, continues=(str(tmp_path / "1"),)))
    together = select_batch(STORE, msgspec.structs.replace(spec, budget=20))
    assert {*second.earlier, *(p.frame_id for p in second.picks)} == {pick.frame_id for pick in together.picks}
