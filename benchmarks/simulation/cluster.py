"""A supervisor and its workers in virtual time, over real chains: who scores what, and what is published of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.simulation.balance import an_hour_of
from benchmarks.simulation.memory import MemoryFolder, Requests
from benchmarks.simulation.plan import TICK_S, Plan
from fleetsift.store.chain import ChainWriter, Namespace, verify_end
from fleetsift.streaming.fleet.shares import Share, share_out


@dataclass
class Worker:
    """One actor: what it owns, how far it has scored, and what of that is published."""

    share: Share
    begins_at: float
    writers: dict[int, ChainWriter] = field(default_factory=dict)
    scored: dict[int, float] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)  # when the oldest unpublished row was scored
    turn: int = 0


@dataclass
class Cluster:
    """The supervisor, its workers, and the topic."""

    plan: Plan
    rates: np.ndarray[Any, np.dtype[np.float64]]  # frames a second of each partition
    now: float = 0.0
    workers: list[Worker] = field(default_factory=list)
    zombies: list[tuple[float, Worker]] = field(default_factory=list)  # until when
    requests: Requests = field(default_factory=Requests)
    resumed: int = 0
    conflicts: int = 0
    lost_rows: float = 0.0  # scored, never published, scored again
    waits: dict[int, float] = field(default_factory=dict)  # partitions nobody scores, since when
    recoveries: list[float] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)  # partitions of workers that began, by deal

    def __post_init__(self) -> None:
        self.namespace = Namespace("frames", "id", "null-0", ("road",))
        root = MemoryFolder({}, self.requests)
        self.folders = [root.below(f"p={p:05d}") for p in range(self.plan.partitions)]

    def end(self, partition: int) -> float:
        """How many frames the topic has in a partition."""
        return float(self.rates[partition] * self.now)

    def loads(self) -> dict[int, int]:
        """What brokers and chains say of each partition: what is not published, and what came in the last hour."""
        ends = {p: writer.end for worker in self.workers for p, writer in worker.writers.items()}
        hour = an_hour_of(self.rates)
        return {p: hour[p] + round(self.end(p)) - ends.get(p, round(self.end(p))) for p in hour}

    def work(self) -> None:
        """Half a second of everybody who is there, or thinks that it is."""
        for worker in self.workers:
            if not worker.writers and self.now >= worker.begins_at:
                self.begin(worker)
            if worker.writers:
                self.score(worker)
        for until, zombie in list(self.zombies):
            if zombie.writers:
                self.score(zombie)
            if self.now >= until:
                self.zombies.remove((until, zombie))

    def start(self, share: Share) -> None:
        """Start a worker; it resumes when it begins."""
        self.workers.append(Worker(share, self.now + self.plan.begin_s))

    def begin(self, worker: Worker) -> None:
        """Find where the chains end, as a worker does."""
        for p in worker.share:
            last = verify_end(self.folders[p], self.namespace, p)
            worker.writers[p] = ChainWriter(self.folders[p], self.namespace, p, f"{id(worker)}", last)
            worker.scored[p] = float(worker.writers[p].end)
            self.resumed += 1
            if p in self.waits:
                self.recoveries.append(self.now - self.waits.pop(p))

    def score(self, worker: Worker) -> None:
        """Half a second's frames, from its partitions in turn."""
        left = self.plan.frames_per_s * TICK_S
        for step in range(len(worker.share)):
            p = worker.share[(worker.turn + step) % len(worker.share)]
            some = min(left, max(0.0, self.end(p) - worker.scored[p]))
            if some:
                worker.scored[p] += some
                worker.since.setdefault(p, self.now)
                left -= some
        worker.turn += 1
        for p in [p for p, since in worker.since.items() if self.is_due(worker, p, since)]:
            self.publish(worker, p)

    def is_due(self, worker: Worker, p: int, since: float) -> bool:
        """As the store's writer decides."""
        rows = worker.scored[p] - worker.writers[p].end
        return rows >= self.plan.flush_rows or self.now - since >= self.plan.flush_s

    def publish(self, worker: Worker, p: int) -> None:
        """One segment of whole frames, by the real chain; a zombie's rows may be there already."""
        writer, upto = worker.writers[p], int(worker.scored[p])
        before = writer.end
        if upto > before:
            offsets = np.arange(before, upto, dtype=np.int64)
            status = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(offsets), np.int8)), pa.array(["ok"]))
            creates = self.requests.counts["create"]
            writer.publish(pa.table({"offset": offsets, "status": status.cast(pa.string())}), upto=upto)
            self.conflicts += self.requests.counts["create"] - creates > 1 or writer.end != upto
            worker.scored[p] = max(worker.scored[p], float(writer.end))
        del worker.since[p]

    def die(self, worker: Worker, zombie_s: float) -> None:
        """Gone for the supervisor; as a zombie it writes on."""
        self.workers.remove(worker)
        for p in worker.share:
            self.waits.setdefault(p, self.now)
        if zombie_s:
            self.zombies.append((self.now + zombie_s, worker))
        else:
            self.lost_rows += sum(worker.scored[p] - worker.writers[p].end for p in worker.writers)

    def deal(self, size: int) -> None:
        """Deal anew: who keeps a share works on, all others publish what they have and begin again."""
        owners = {worker.share: worker for worker in self.workers}
        shares = share_out(self.loads(), size, list(owners))
        moved = 0
        for share, worker in owners.items():
            if share not in shares:
                for p in list(worker.since):
                    self.publish(worker, p)
                self.workers.remove(worker)
                for p in share:
                    self.waits.setdefault(p, self.now)
        for share in shares:
            if share not in owners:
                self.start(share)
                moved += len(share)
        self.moved.append(moved)
