"""A cluster that this machine does not have, in virtual time: many partitions, and workers that join and die.

    python -m benchmarks.simulation [--partitions 1000] [--workers 200] [--minutes 60] [--json FILE]

What is real: how partitions are dealt (`share_out`), and the chain (`resume`, `ChainWriter`, segments as Parquet with
their hashes) on a folder in memory that counts requests. What is simulated: time, the topic, scoring at a given pace,
how long a worker takes to begin, and who dies when. A dead worker's unpublished rows are lost and scored again; a
zombie goes on writing after its partitions were given to others, until it is found out. At the end the oracle counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fleetsift.store.chain import ChainWriter, Namespace, segment_names, verify_end
from fleetsift.store.folder import Folder
from fleetsift.store.segments import read_facts
from fleetsift.streaming.fleet.shares import Share, share_out

TICK_S = 0.5  # the supervisor's
SETTLE_S = 3.0  # as long a change of the cluster has to last


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated."""

    partitions: int = 1000
    workers: int = 200  # at most, and in the beginning
    minutes: float = 60.0
    frames_per_s: float = 100.0  # of one worker
    load: float = 0.7  # of what the workers in the beginning can score
    change_every_s: float = 10.0  # a worker dies, or one that is missing joins
    zombies: float = 0.2  # of those that die: they write on for a while
    begin_s: float = 10.0  # from being started to the first frame
    flush_s: float = 60.0
    flush_rows: int = 100_000
    seed: int = 1


@dataclass
class Requests:
    """What an object store was asked."""

    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class MemoryFolder:
    """A store's folder in memory: what is created once stays, and every request is counted."""

    files: dict[str, bytes]
    requests: Requests
    path: str = "memory"

    def below(self, name: str) -> Folder:
        """A folder of its own: chains do not share one."""
        return MemoryFolder({}, self.requests, f"{self.path}/{name}")

    def create_absent(self, name: str, data: bytes) -> bool:
        """Keep the end of a file alone, where its footer is."""
        self.requests.counts["create"] += 1
        if name in self.files:
            return False
        self.files[name] = data
        return True

    def overwrite(self, name: str, data: bytes) -> None:
        """Whatever was there."""
        self.requests.counts["overwrite"] += 1
        self.files[name] = data

    def read(self, name: str, last: int | None = None) -> bytes:
        """Two requests for the end of a file, as on S3: its size first."""
        self.requests.counts["read"] += 1 if last is None else 2
        if name not in self.files:
            raise FileNotFoundError(name)
        data = self.files[name]
        return data if last is None else data[-last:]

    def remove(self, name: str) -> None:
        """As on a disk."""
        self.files.pop(name, None)

    def sweep(self) -> None:
        """Nobody is killed here."""

    def names(self) -> list[str]:
        """A thousand names a request."""
        self.requests.counts["list"] += 1 + len(self.files) // 1000
        return sorted(self.files)

    def folders(self) -> list[str]:
        """None: each partition has a folder of its own."""
        return []


@dataclass
class _Worker:
    """One actor: what it owns, how far it has scored, and what of that is published."""

    share: Share
    begins_at: float
    writers: dict[int, ChainWriter] = field(default_factory=dict)
    scored: dict[int, float] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)  # when the oldest unpublished row was scored
    turn: int = 0


@dataclass
class _Cluster:
    """The supervisor, its workers, and the topic."""

    plan: Plan
    rates: np.ndarray[Any, np.dtype[np.float64]]  # frames a second of each partition
    now: float = 0.0
    workers: list[_Worker] = field(default_factory=list)
    zombies: list[tuple[float, _Worker]] = field(default_factory=list)  # until when
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
        self.workers.append(_Worker(share, self.now + self.plan.begin_s))

    def begin(self, worker: _Worker) -> None:
        """Find where the chains end, as a worker does."""
        for p in worker.share:
            last = verify_end(self.folders[p], self.namespace, p)
            worker.writers[p] = ChainWriter(self.folders[p], self.namespace, p, f"{id(worker)}", last)
            worker.scored[p] = float(worker.writers[p].end)
            self.resumed += 1
            if p in self.waits:
                self.recoveries.append(self.now - self.waits.pop(p))

    def score(self, worker: _Worker) -> None:
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

    def is_due(self, worker: _Worker, p: int, since: float) -> bool:
        """As the store's writer decides."""
        rows = worker.scored[p] - worker.writers[p].end
        return rows >= self.plan.flush_rows or self.now - since >= self.plan.flush_s

    def publish(self, worker: _Worker, p: int) -> None:
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

    def die(self, worker: _Worker, zombie_s: float) -> None:
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
        shares = share_out(range(self.plan.partitions), size, list(owners))
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


def simulate(plan: Plan) -> dict[str, float]:
    """Run a plan; raises AssertionError where a row is lost or doubled."""
    shape = np.random.default_rng(plan.seed).lognormal(0.0, 0.5, plan.partitions)  # sessions fall unevenly
    cluster = _Cluster(plan, shape / shape.sum() * plan.workers * plan.frames_per_s * plan.load)
    cluster.deal(plan.workers)
    weather = _Weather(plan)
    lags: list[float] = []
    busiest: list[float] = []
    while cluster.now < plan.minutes * 60:
        cluster.now += TICK_S
        cluster.work()
        weather.change(cluster)
        if cluster.now % 10 < TICK_S:
            lags.append(sum(_unscored(cluster)))
            loads = [sum(cluster.rates[p] for p in worker.share) for worker in cluster.workers]
            busiest.append(max(loads) / (sum(loads) / len(loads)))
    for worker in cluster.workers:  # a drain: everybody publishes what is scored
        for p in list(worker.since):
            cluster.publish(worker, p)
    return _figures(cluster, lags, busiest)


class _Weather:
    """Who dies and who joins, and how the supervisor takes it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._room = self._dealt = plan.workers
        self._changed_at = -SETTLE_S
        self._next = plan.change_every_s

    def change(self, cluster: _Cluster) -> None:
        """Let half a second pass."""
        if cluster.now >= self._next:
            self._next += self._plan.change_every_s * self._chance.uniform(0.5, 1.5)
            self._changed_at = cluster.now
            if self._is_bad():
                zombie_s = self._chance.uniform(5, 90) if self._chance.random() < self._plan.zombies else 0.0
                cluster.die(self._chance.choice(cluster.workers), zombie_s)
                self._room -= 1
            else:
                self._room += 1
        if self._room != self._dealt and cluster.now - self._changed_at >= SETTLE_S:
            cluster.deal(self._room)
            self._dealt = self._room

    def _is_bad(self) -> bool:
        few = self._room <= self._plan.workers // 2
        return not few and (self._room == self._plan.workers or self._chance.random() < 0.5)


def _unscored(cluster: _Cluster) -> list[float]:
    scored = {p: value for worker in cluster.workers for p, value in worker.scored.items()}
    return [cluster.end(p) - scored.get(p, 0.0) for p in range(cluster.plan.partitions) if p in scored]


def _figures(cluster: _Cluster, lags: Sequence[float], busiest: Sequence[float]) -> dict[str, float]:
    plan, segments, rows = cluster.plan, 0, 0
    counts = Counter(cluster.requests.counts)  # what looking for the truth asks is not the cluster's
    for p, folder in enumerate(cluster.folders):
        end = 0
        for name in segment_names(folder):
            facts = read_facts(folder, name)
            assert facts.start == end, f"partition {p}: {name} begins at {facts.start}, the one before it ends at {end}"
            assert facts.rows == facts.next - facts.start, f"partition {p}: {name} lost rows"
            end, rows, segments = facts.next, rows + facts.rows, segments + 1
    sizes = [len(worker.share) for worker in cluster.workers]
    rate = float(cluster.rates.sum())
    return {
        "frames": float(rows),
        "segments": float(segments),
        "changes": float(len(cluster.moved) - 1),
        "partitions_interrupted_a_change": float(np.mean(cluster.moved[1:])) if cluster.moved[1:] else 0.0,
        "most_minus_least_partitions": float(max(sizes) - min(sizes)),
        "busiest_worker_over_mean": float(np.mean(busiest)),
        "recovery_s_median": float(np.median(cluster.recoveries)),
        "recovery_s_longest": float(max(cluster.recoveries)),
        "lag_s_median": float(np.median(lags)) / rate,
        "lag_s_longest": float(max(lags)) / rate,
        "rescored_share": cluster.lost_rows / rows,
        "conflicts": float(cluster.conflicts),
        "requests_a_resume": (counts["list"] + counts["read"]) / max(1, cluster.resumed),
        "listings": float(counts["list"]),
        "requests_per_s": sum(counts.values()) / (plan.minutes * 60),
        "requests_a_segment": sum(counts.values()) / segments,
        "simulated_min": plan.minutes,
        "partitions": float(plan.partitions),
        "workers": float(plan.workers),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation")
    for name, default in (("partitions", 1000), ("workers", 200), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    logging.getLogger("fleetsift.store").setLevel(logging.ERROR)  # a zombie's lost races are what is simulated
    figures = simulate(Plan(options.partitions, options.workers, options.minutes, seed=options.seed))
    figures["took_s"] = time.perf_counter() - began
    for name, value in figures.items():
        print(f"{name:32} {value:14.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
