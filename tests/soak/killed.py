"""Rows 1 and 2: a writer is killed by -9 before each of its steps on the disk, seed after seed; what it left is gone on
from, and nothing that was published is scored again.

    python -m tests.soak.killed FOLDER SEEDS
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import segment_names, walk_chain
from fleetsift.store.folder import open_folder
from fleetsift.store.rows import RowLayout
from fleetsift.store.writer import StoreWriter
from tests.oracle import check_store
from tests.soak.fates import Fate, befall
from tests.store.conftest import NAMESPACE, make_refs, make_scores

_ROWS = 24


def write_until_killed(folder: Path, seed: int, round_: int) -> None:
    """What the child does: go on from the store in batches of any size, to be killed at some step."""
    dice = random.Random(f"{seed}/{round_}")
    with befall(folder, Fate.IS_KILLED, dice.randrange(10 + 25 * round_)):
        spec = StoreSpec(path=str(folder), flush_rows=dice.randint(1, 9))
        writer = StoreWriter(spec, NAMESPACE, RowLayout(NAMESPACE.ensemble_id, 2), [0])
        begin = writer.ends()[0]
        while begin < _ROWS:
            refs = make_refs(range(begin, min(_ROWS, begin + dice.randint(1, 5))))
            writer.append(refs, make_scores(refs))
            begin += len(refs)
        writer.flush()


def kill_again_and_again(folder: Path, seed: int) -> int:
    """Start writers until one survives; returns how many were killed. Raises AssertionError where a promise breaks."""
    kills = 0
    chain = NAMESPACE.folder(open_folder(folder), 0)
    while True:
        child = os.fork()
        if not child:
            write_until_killed(folder, seed, kills)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"seed {seed}: the writer failed"
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        kills += 1
        facts = list(walk_chain(chain, 0))
        assert len(facts) == len(segment_names(chain)), f"seed {seed}: a segment is not in the chain"
        heir = StoreWriter(StoreSpec(path=str(folder)), NAMESPACE, RowLayout(NAMESPACE.ensemble_id, 2), [0])
        end = facts[-1].next if facts else 0
        assert heir.ends() == {0: end}, f"seed {seed}: what was published would be scored again"
    check_store(folder, {("frames", 0, offset): f"f-0-{offset}" for offset in range(_ROWS)})
    return kills


if __name__ == "__main__":
    place, seeds = Path(sys.argv[1]), int(sys.argv[2])
    killed = [kill_again_and_again(place / str(seed), seed) for seed in range(seeds)]
    print(f"{seeds} seeds, {sum(killed)} kills", flush=True)
    os._exit(0)  # Arrow's threads, of which each child had a dead copy, at times abort a process that ends in order
