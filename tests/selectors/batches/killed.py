"""Fault 37: a selector is killed by -9 before each of its steps on the disk, seed after seed, and run again.

python -m tests.selectors.batches.killed FOLDER SEEDS
"""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Selection
from fleetsift.selectors.batches.batch import read_batch, write_batch
from fleetsift.selectors.select import select
from tests.selectors.batches.test_batch import SNAPSHOT, SPEC, contents
from tests.selectors.drawn_pools import large_pool
from tests.soak.fates import Fate, befall

_MOST_STEPS = 20  # a little more than it takes: one that comes to its end is one of the cases


def select_until_killed(folder: Path, seed: int) -> None:
    """What the child does: select, and write over what is there, to be killed at some step."""
    with befall(folder, Fate.IS_KILLED, random.Random(seed).randrange(_MOST_STEPS)):
        write_batch(folder, select(large_pool(500), SPEC), SNAPSHOT, overwrite=True)


def kill_and_run_again(folder: Path, seed: int, expected: Selection) -> bool:
    """Whether the selector was killed; raises AssertionError where what it left is neither the batch nor none."""
    killed = False
    child = os.fork()
    if not child:
        select_until_killed(folder, seed)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed = True
    with suppress(SelectionError):  # what is half-written counts as no batch
        assert read_batch(folder) == expected, f"seed {seed}: another batch"
    return killed


if __name__ == "__main__":
    place, seeds = Path(sys.argv[1]), int(sys.argv[2])
    selection = select(large_pool(500), SPEC)
    write_batch(place / "expected", selection, SNAPSHOT)
    kills = 0
    for number in range(seeds):
        kills += kill_and_run_again(place / "batch", number, selection)
        if number % 2:  # else the next one finds what this one left
            write_batch(place / "batch", select(large_pool(500), SPEC), SNAPSHOT)
            written = {name: data for name, data in contents(place / "batch").items() if name.startswith("batch.")}
            assert written == contents(place / "expected"), f"seed {number}: other bytes"
    print(kills, flush=True)
    os._exit(0)  # threads of Arrow and Numba, of which each child had dead copies, may hold up an orderly end
