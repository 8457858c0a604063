"""The supervisor: deals a topic's partitions to workers, watches them, drains them, and counts what they published.

When partitions are added to the topic, or the cluster gains or loses room for workers, the workers are drained and all
partitions are dealt anew.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

from fleetsift.engines.engine import Engine
from fleetsift.engines.open import open_engine
from fleetsift.engines.proof import open_proven
from fleetsift.errors import PartitionsGivenUp
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import Namespace, Tally, resume
from fleetsift.store.folder import Folder, open_folder
from fleetsift.streaming.fleet.actors import Hand, wait_for_any
from fleetsift.streaming.fleet.cluster import Room, cluster, threads_of
from fleetsift.streaming.fleet.shares import share_out
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.operations.beside import operations
from fleetsift.streaming.progress import RunProgress, join_readings
from fleetsift.streaming.run import Job
from fleetsift.streaming.source import Topic
from fleetsift.streaming.topics import open_topic
from fleetsift.streaming.watch import watch_topic

log = logging.getLogger(__name__)

_TICK_S = 0.5


def run_fleet(
    spec: FleetSpec,
    *,
    until_end: bool,
    stop: Event,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    engine: Callable[[], Engine] | None = None,
) -> RunProgress:
    """Score a topic or manifest with workers on Ray until `stop` is set, or until its present end.

    `engine` opens the engine in each worker; by default it is the spec's ensemble on the workers' runtime, proved to be
    true before a frame is scored. Returns what the store holds that it did not hold before. Raises the FleetsiftError
    that made a worker give up, or SourceError where one keeps dying, or where the topic is gone or is another one than
    when the run began; PartitionsGivenUp, at its end, where some partitions could not be gone on with.
    """
    topic = open_topic(spec)
    until_end = until_end or not topic.grows
    threads = threads_of(spec.workers)
    here, there = (engine, engine) if engine else _openers(spec, threads)
    namespace = _namespace(topic, here)
    chains = _chains(spec, namespace, topic.partitions)
    if not any(chains.values()):
        _warn_of_others(spec, namespace)
    FrameReader.open(spec.frames)  # what the driver can refuse, it refuses before anything is started

    def deal(size: int) -> list[Hand]:
        shares = share_out(topic.partitions, size)
        jobs = [Job(spec, topic, share, until_end, max(1, threads // 2), there) for share in shares]
        return [Hand(job, chain_ends, number) for number, job in enumerate(jobs)]

    def chain_ends(partitions: Iterable[int]) -> dict[int, int]:
        return dict(zip(partitions, _chains(spec, namespace, partitions).values(), strict=True))

    def crew_size() -> int:
        return min(len(topic.partitions), spec.workers.count, room.look())

    on_progress(RunProgress({}, None, 0.0, min(len(topic.partitions), spec.workers.count), 0))
    with operations(spec, topic, namespace) as note, cluster(spec.workers), watch_topic(topic) as latest_topic:
        room, size = Room(spec.workers), 0

        def ending() -> bool:
            grown = latest_topic() != topic  # asked in any case: it raises where the topic is gone
            return stop.is_set() or (grown and not until_end) or crew_size() != size

        crews = _Crews(time.monotonic(), (note, on_progress))
        while True:
            size = crew_size()
            log.info("%d workers for %d partitions of %s", size, len(topic.partitions), topic.name)
            drained = crews.watch(deal(size), ending)
            if stop.is_set() or not drained:
                break
            if not until_end:
                topic, before = latest_topic(), topic
                chains |= _chains(spec, namespace, set(topic.partitions).difference(before.partitions))
    published = Tally()
    for folder, since in chains.items():
        published.add(folder, since)
    if crews.given_up:
        raise PartitionsGivenUp(topic.name, crews.given_up)
    return replace(crews.progress, rows=dict(published.rows), sealed_offsets=published.sealed_offsets)


def _openers(spec: FleetSpec, threads: int) -> tuple[Callable[[], Engine], Callable[[], Engine]]:
    """What opens the spec's engine here and in workers, proved wherever it runs on something else than before.

    The driver needs no GPU: on its CPU it proves the ensemble, before any worker starts.
    """
    runtime, batch = spec.workers.runtime, spec.workers.batch
    path = Path(spec.ensemble)
    here = partial(open_proven, path, threads, runtime.on_cpu, batch)
    if not runtime.needs_gpu:
        return here, partial(open_engine, path, threads, runtime=runtime, batch=batch)
    return here, partial(open_proven, path, threads, runtime, batch)


def _namespace(topic: Topic, opener: Callable[[], Engine]) -> Namespace:
    """Where the rows belong; opening the engine here refuses a bad ensemble at once."""
    engine = opener()
    engine.close()
    return Namespace(topic.name, topic.topic_id, engine.ensemble_id, engine.classes)


def _warn_of_others(spec: FleetSpec, namespace: Namespace) -> None:
    """Nothing of a topic is in the store; where another of its name is, that may not have been meant."""
    others = namespace.others(open_folder(spec.store.path, spec.store.timeout_s))
    if others:
        log.warning(
            "%s has changed since %s was filled (its id was %s and is %s); all of it is scored, as another topic",
            namespace.topic,
            spec.store.path,
            ", ".join(others),
            namespace.topic_id,
        )


def _chains(spec: FleetSpec, namespace: Namespace, partitions: Iterable[int]) -> dict[Folder, int]:
    """The chain of each partition and where it goes on."""
    store = open_folder(spec.store.path, spec.store.timeout_s)
    folders = {p: namespace.folder(store, p) for p in partitions}
    return {folder: resume(folder, namespace, p) for p, folder in folders.items()}


class _Crews:
    """One crew of workers after another: watched until it has finished, summed up with those before it."""

    def __init__(self, began: float, listeners: Sequence[Callable[[RunProgress], None]]) -> None:
        self._began = began
        self._listeners = listeners
        self._relieved: list[Hand] = []  # of crews that have finished
        self.progress = RunProgress({}, None, 0.0, 0, 0)
        self.given_up: dict[int, str] = {}  # by the last crew: partitions, and why

    def watch(self, crew: list[Hand], ending: Callable[[], bool]) -> bool:
        """Return when every worker of a crew has finished; they are drained once `ending` says so.

        Returns whether it did: else they came to the end of what there is. An empty crew waits for `ending`.
        """
        draining = False
        while True:
            draining = ending() or draining
            for hand in crew:
                hand.look(draining=draining)
            self.progress = self._sum_up(crew)
            for listener in self._listeners:
                listener(self.progress)
            running = [hand for hand in crew if not hand.done]
            if not running and (crew or draining):
                self._relieved += crew
                self.given_up = {p: reason for hand in crew for p, reason in hand.given_up.items()}
                return draining
            wait_for_any(running, _TICK_S)

    def _sum_up(self, crew: list[Hand]) -> RunProgress:
        hands = self._relieved + crew
        lags = [hand.lag for hand in crew if hand.lag is not None]
        return RunProgress(
            rows=dict(sum((hand.rows for hand in hands), Counter[str]())),
            lag=sum(lags) if 0 < len(lags) == len(crew) else None,
            elapsed_s=time.monotonic() - self._began,
            workers=len(crew),
            restarts=sum(hand.restarts for hand in hands),
            readings=join_readings(hand.readings for hand in hands),
        )
