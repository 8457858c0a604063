"""The supervisor: deals a topic's partitions to workers, watches them, drains them, and counts what they published.

When partitions are added to the topic, or the cluster gains or loses room for workers, the partitions are dealt anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

from fleetsift.engines.engine import Engine
from fleetsift.engines.open import open_engine
from fleetsift.engines.proof import open_proven
from fleetsift.errors import PartitionsGivenUp
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import Namespace, Tally
from fleetsift.store.chains import Chains
from fleetsift.streaming.fleet.actors import Hand
from fleetsift.streaming.fleet.cluster import cluster, threads_of
from fleetsift.streaming.fleet.crew import Crew
from fleetsift.streaming.fleet.room import Room
from fleetsift.streaming.fleet.shares import Share
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.operations.beside import operations
from fleetsift.streaming.progress import RunProgress
from fleetsift.streaming.run import Job
from fleetsift.streaming.source import Topic
from fleetsift.streaming.topics import wait_for_topic
from fleetsift.streaming.watch import watch_topic, weigh_partitions

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
    topic = wait_for_topic(spec, stop)
    until_end = until_end or not topic.grows
    threads = threads_of(spec.workers)
    here, there = (engine, engine) if engine else _openers(spec, threads)
    namespace = _namespace(topic, here)
    chains = Chains.open(spec.store, namespace, stop)
    before = chains.ends(topic.partitions)
    if not any(before.values()):
        _warn_of_others(chains)
    FrameReader.open(spec.frames)  # what the driver can refuse, it refuses before anything is started

    def hire(share: Share, number: int) -> Hand:
        return Hand(Job(spec, topic, share, until_end, max(1, threads // 2), there), chain_ends, number)

    def chain_ends(partitions: Iterable[int]) -> dict[int, int]:
        return {p: last.next if last else 0 for p, last in chains.ends(partitions).items()}

    def loads(published: dict[int, int]) -> dict[int, int]:
        ends = {p: last.next if last else 0 for p, last in before.items()} | published
        return weigh_partitions(topic, {p: ends[p] for p in topic.partitions})

    def crew_size() -> int:
        return min(len(topic.partitions), spec.workers.count, room.look())

    on_progress(RunProgress({}, None, 0.0, min(len(topic.partitions), spec.workers.count), 0))
    with operations(spec, topic, namespace) as note, cluster(spec.workers), watch_topic(topic) as latest_topic:
        room, size = Room(spec.workers), 0
        crew = Crew(hire, (note, on_progress))
        while True:
            latest = latest_topic()  # asked in any case: it raises where the topic is gone
            grown = latest != topic and not until_end
            if crew.settled and (grown or crew_size() != size):
                if grown:
                    before |= chains.ends(set(latest.partitions).difference(topic.partitions))
                    topic = latest
                size = crew_size()
                log.info("%d workers for %d partitions of %s", size, len(topic.partitions), topic.name)
                crew.deal(loads(crew.progress.readings.published), size)
            if not crew.look(draining=stop.is_set()):
                break
            crew.wait(_TICK_S)
    published = Tally.of(chains.ends(before).values()) - Tally.of(before.values())
    if crew.given_up:
        raise PartitionsGivenUp(topic.name, crew.given_up)
    return replace(crew.progress, rows=dict(published.rows), sealed_offsets=published.sealed_offsets)


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


def _warn_of_others(chains: Chains) -> None:
    """Nothing of a topic is in the store; where another of its name is, that may not have been meant."""
    if others := chains.others():
        log.warning(
            "%s has changed since %s was filled (its id was %s and is %s); all of it is scored, as another topic",
            chains.namespace.topic,
            chains.root.path,
            ", ".join(others),
            chains.namespace.topic_id,
        )
