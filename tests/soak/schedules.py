"""One seed, one schedule: writers of a few partitions, and everything that may happen to them, in one process.

The topic is a model, the store is real: real writers, on a real disk, with real bytes. Up to four writers of each
partition append, publish, die, are refused by the disk, are stopped in the middle of a step while others act (and so
become zombies), find the hint torn or lying, see retention pass and seal the gap. Counted by the oracle at the end.
"""

from __future__ import annotations

import logging
import random
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fleetsift.errors import SegmentCorrupt, StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import walk_chain
from fleetsift.store.folder import open_folder
from fleetsift.store.rows import RowLayout
from fleetsift.store.writer import StoreWriter
from tests.oracle import Acknowledged, check_store
from tests.soak.fates import Fate, befall
from tests.store.conftest import NAMESPACE, make_refs, make_scores

_ACTS = 60
_LONGEST_S = 3600.0
_FATES = (Fate.DIES, Fate.IS_REFUSED, Fate.IS_STOPPED)


@dataclass
class Writer:
    """A writer, and how far it has read each partition."""

    store: StoreWriter
    read: dict[int, int]


@dataclass
class Schedule:
    """The state of one seed: the topic, the writers, and what was counted."""

    seed: int
    folder: Path
    dice: random.Random = field(init=False)
    topic: dict[int, list[int]] = field(init=False)  # offsets on it, by partition
    removed: dict[int, set[int]] = field(init=False)  # by retention
    writers: list[Writer | None] = field(init=False)
    befell: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        partitions = range(self.dice.randint(1, 3))
        self.topic = {p: [] for p in partitions}
        self.removed = {p: set() for p in partitions}
        self.writers = [None] * self.dice.randint(1, 4)

    def run(self) -> int:
        """Play the schedule and count; returns the rows. Raises AssertionError where a promise is broken."""
        for _ in range(_ACTS):
            self._act(nested=False)
        last = self._open()
        for partition in self.topic:
            while self._append(last, partition, 1000):
                pass
        last.store.flush()
        return self._count()

    def _act(self, *, nested: bool) -> None:
        others: list[Callable[[], None]] = [self._produce, self._tamper, self._retain]
        act = self.dice.choices([None, *others], [12, 3, 1, 0.3])[0]
        who = self.dice.randrange(len(self.writers))
        if act:
            act()
        elif nested or self.dice.random() < 0.5:
            self.writers[who] = self._take_turn(self.writers[who])
        else:
            self._take_fateful_turn(who)

    def _take_fateful_turn(self, who: int) -> None:
        fate = self.dice.choice(_FATES)
        survivor: Writer | None = None
        mine, self.writers[who] = self.writers[who], None  # while it is stopped, another may start in its place
        with befall(self.folder, fate, self.dice.randrange(14), self._meanwhile) as befallen:
            survivor = self._take_turn(mine)
        if befallen():
            self.befell[fate] = self.befell.get(fate, 0) + 1
        self.writers[who] = survivor if self.dice.random() < 0.9 else None

    def _meanwhile(self) -> None:
        for _ in range(self.dice.randint(1, 5)):
            self._act(nested=True)

    def _take_turn(self, writer: Writer | None) -> Writer | None:
        """One writer appends a few batches, or publishes; one that the store refuses ends, as a worker does."""
        try:
            writer = writer or self._open()
            for _ in range(self.dice.randint(1, 3)):
                self._append(writer, self.dice.choice(list(self.topic)), self.dice.randint(1, 9))
            if self.dice.random() < 0.3:
                writer.store.flush()
        except SegmentCorrupt:
            raise
        except StoreError:
            return None
        return writer

    def _open(self) -> Writer:
        spec = StoreSpec(
            path=str(self.folder),
            flush_rows=self.dice.choice([1, 5, 20, 100_000]),
            flush_bytes=self.dice.choice([1, 3000, 10**9]),
            flush_s=_LONGEST_S,
        )
        store = StoreWriter(spec, NAMESPACE, RowLayout(NAMESPACE.ensemble_id, 2), list(self.topic))
        return Writer(store, store.ends())

    def _append(self, writer: Writer, partition: int, size: int) -> int:
        """What a worker does with a batch; where retention has passed, it seals the gap and goes on from the store."""
        beginning = max(self.removed[partition], default=-1) + 1
        if 0 < writer.read[partition] < beginning:
            writer.store.seal(partition, beginning, "retention")
            writer.read[partition] = writer.store.ends()[partition]
        batch = [offset for offset in self.topic[partition] if offset >= writer.read[partition]][:size]
        if batch:
            refs = make_refs(batch, partition)
            writer.read[partition] = batch[-1] + 1
            writer.store.append(refs, make_scores(refs))
        return len(batch)

    def _produce(self) -> None:
        partition = self.dice.choice(list(self.topic))
        offset = self.topic[partition][-1] + 1 if self.topic[partition] else 0
        for _ in range(self.dice.randint(1, 30)):
            offset += self.dice.choice([0, 0, 0, 1, 7])  # markers, compaction, aborted records
            self.topic[partition].append(offset)
            offset += 1

    def _tamper(self) -> None:
        """A crash may lose or tear the hint; it may lie besides."""
        for hint in self.folder.rglob(".end"):
            hint.write_bytes(self.dice.choice([b"", b"7", b"no number", b"99999999", b"0"]))

    def _retain(self) -> None:
        partition = self.dice.choice(list(self.topic))
        here = self.topic[partition]
        gone = here[: self.dice.randint(0, len(here) // 2)]
        self.removed[partition].update(gone)
        self.topic[partition] = here[len(gone) :]

    def _count(self) -> int:
        store = open_folder(self.folder)
        for partition in self.topic:
            for facts in walk_chain(NAMESPACE.folder(store, partition), 0):
                sealed = range(facts.start, facts.next) if facts.gap else range(0)
                assert not set(self.topic[partition]).intersection(sealed), "a gap was sealed over records"
        positions = {(p, offset) for p, offsets in self.topic.items() for offset in offsets}
        acknowledged = self._named(positions)
        perhaps = self._named({(p, offset) for p, offsets in self.removed.items() for offset in offsets})
        return check_store(self.folder, acknowledged, perhaps).total()

    @staticmethod
    def _named(positions: set[tuple[int, int]]) -> Acknowledged:
        return {(NAMESPACE.topic, p, offset): f"f-{p}-{offset}" for p, offset in positions}


def run_seed(seed: int, new_folder: Callable[[int], Path]) -> tuple[int, dict[str, int]]:
    """Play one seed in a folder of its own; returns its rows, and how often what befell its writers."""
    schedule = Schedule(seed, new_folder(seed))
    return schedule.run(), schedule.befell


def play_schedule(place: Path, seed: int) -> tuple[int, int, dict[str, int], str]:
    """One seed in a process of a pool: the seed, its rows, what befell, and what broke."""
    logging.disable(logging.CRITICAL)
    folder = place / f"seed-{seed}"
    try:
        rows, befell = run_seed(seed, lambda _: folder)
    except Exception:  # noqa: BLE001 - whatever it is, the seed is told
        return seed, 0, {}, traceback.format_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return seed, rows, befell, ""
