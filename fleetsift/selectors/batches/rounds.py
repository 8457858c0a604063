"""The rounds that a selection continues: which frames earlier batches picked, each batch knowing those before it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fleetsift.selectors.batches.batch import read_batch


def read_rounds(folders: Iterable[str | Path]) -> tuple[str, ...]:
    """The frame_ids of all picks of some batches and of those they continue, in the order of rounds and ranks.

    Raises SelectionError where a folder is no batch.
    """
    picked: dict[str, None] = {}
    for folder in folders:
        batch = read_batch(Path(folder))
        picked |= dict.fromkeys(batch.earlier) | dict.fromkeys(pick.frame_id for pick in batch.picks)
    return tuple(picked)
