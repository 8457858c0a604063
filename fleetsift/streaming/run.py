"""The hot path: everything that happens to some partitions, from the poll to the published file, in one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Event

from fleetsift.engines.engine import Engine
from fleetsift.errors import PartitionsGivenUp
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.status import Problem, Status
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.writer import StoreWriter
from fleetsift.streaming.frames import FrameReader
from fleetsift.streaming.gaps import pass_gaps
from fleetsift.streaming.loader import FrameLoader
from fleetsift.streaming.source import Source, Topic
from fleetsift.streaming.watch import confirm_topic


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker does."""

    spec: FleetSpec
    topic: Topic
    partitions: tuple[int, ...]
    until_end: bool
    decode_threads: int
    open_engine: Callable[[], Engine]


@dataclass(slots=True)
class Meter:
    """Counts that grow while the hot path runs; other threads may look at any time."""

    rows: Counter[str] = field(default_factory=Counter)  # by status
    source: Source | None = None
    given_up: dict[int, str] = field(default_factory=dict)  # why, by partition

    def count(self, problems: tuple[Problem | None, ...]) -> None:
        """Add one batch."""
        self.rows.update(str(problem.status if problem else Status.OK) for problem in problems)

    def lag(self, partitions: int) -> int | None:
        """References of the source that are not scored yet; None until so many partitions have been heard of."""
        if self.source is None or len(self.source.unread) < partitions:
            return None
        return max(0, sum(self.source.unread.values()) + self.source.polled - self.rows.total())


def score_partitions(job: Job, stop: Event, meter: Meter) -> None:
    """Score a job's partitions from where the store ends until `stop`, or until their end; what was read is published.

    Raises SourceError, EnsembleError, ConfigError or StoreError; published rows stay, the next run goes on after them.
    PartitionsGivenUp, where references are gone that should be scored next, is raised when the others have been read.
    """
    spec = job.spec
    engine = job.open_engine()
    namespace = Namespace(job.topic.name, job.topic.topic_id, engine.ensemble_id, engine.classes)
    layout = RowLayout(engine.ensemble_id, engine.members, spec.metadata)
    confirm = partial(confirm_topic, job.topic, stop)
    store = StoreWriter(spec.store, namespace, layout, job.partitions, before_publish=confirm)
    source = job.topic.read(store.ends(), batch=spec.workers.batch, until_end=job.until_end)
    loader = FrameLoader(FrameReader.open(spec.frames, stop), engine.frame_size, job.decode_threads)
    meter.source = source

    while True:
        for refs, frames in loader.load(source.batches(stop)):
            scores = engine.score(frames)
            store.append(refs, scores)
            meter.count(scores.problems)
        store.flush()
        if not source.lost:
            break
        meter.given_up |= pass_gaps(source, store)
    engine.close()
    if meter.given_up:
        raise PartitionsGivenUp(job.topic.name, meter.given_up)
