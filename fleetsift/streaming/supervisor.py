"""The supervisor: deals a topic's partitions to workers, watches them, drains them, and counts what they published."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

from fleetsift.engines.engine import Engine
from fleetsift.engines.open import open_engine
from fleetsift.engines.threads import thread_budget
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import Namespace, resume, tally
from fleetsift.store.folder import Folder, open_folder
from fleetsift.streaming.actors import Hand, wait_for_any
from fleetsift.streaming.cluster import cluster
from fleetsift.streaming.frames import FrameReader
from fleetsift.streaming.kafka import Topic, describe_topic
from fleetsift.streaming.progress import RunProgress
from fleetsift.streaming.run import Job

_TICK_S = 0.5


def run_fleet(
    spec: FleetSpec,
    *,
    until_end: bool,
    stop: Event,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    engine: Callable[[], Engine] | None = None,
) -> RunProgress:
    """Score a topic with workers on Ray until `stop` is set, or until its present end.

    `engine` opens the engine in each worker; by default it is the spec's ensemble on ONNX Runtime. Returns what the
    store holds that it did not hold before. Raises the FleetsiftError that made a worker give up, or SourceError where
    one keeps dying.
    """
    topic = describe_topic(spec.kafka)
    threads = spec.workers.threads or max(1, thread_budget() // spec.workers.count)
    opener = engine or partial(open_engine, Path(spec.ensemble), threads)
    chains = _chains(spec, topic, opener)
    FrameReader.open(spec.frames)  # what the driver can refuse, it refuses before anything is started
    jobs = [
        Job(spec, topic, partitions, until_end, max(1, threads // 2), opener)
        for partitions in share_out(topic.partitions, spec.workers.count)
    ]
    on_progress(RunProgress({}, None, 0.0, len(jobs), 0))
    with cluster(spec.workers):
        crew = [Hand(job, spec.workers) for job in jobs]
        progress = _supervise(crew, stop, on_progress)
    published = sum((tally(folder, since) for folder, since in chains.items()), Counter[str]())
    return replace(progress, rows=dict(published))


def share_out(partitions: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """Deal partitions to workers in turn; a worker that would get none is not started."""
    return [share for share in (tuple(partitions[i::workers]) for i in range(workers)) if share]


def _chains(spec: FleetSpec, topic: Topic, opener: Callable[[], Engine]) -> dict[Folder, int]:
    """The chain of each partition and where it goes on; opening the engine here refuses a bad ensemble at once."""
    engine = opener()
    namespace = Namespace(topic.name, topic.topic_id, engine.ensemble_id, engine.classes)
    engine.close()
    store = open_folder(spec.store.path, spec.store.timeout_s)
    folders = {p: namespace.folder(store, p) for p in topic.partitions}
    return {folder: resume(folder, namespace, p) for p, folder in folders.items()}


def _supervise(crew: list[Hand], stop: Event, on_progress: Callable[[RunProgress], None]) -> RunProgress:
    began = time.monotonic()
    while True:
        for hand in crew:
            hand.look(draining=stop.is_set())
        rows = sum((hand.rows for hand in crew), Counter[str]())
        lags = [hand.lag for hand in crew if hand.lag is not None]
        progress = RunProgress(
            rows=dict(rows),
            lag=sum(lags) if len(lags) == len(crew) else None,
            elapsed_s=time.monotonic() - began,
            workers=len(crew),
            restarts=sum(hand.restarts for hand in crew),
        )
        on_progress(progress)
        running = [hand for hand in crew if not hand.done]
        if not running:
            return progress
        wait_for_any(running, _TICK_S)
