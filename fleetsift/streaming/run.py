"""The hot path: everything that happens to some partitions, from the poll to the published file, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event

from fleetsift.engines.engine import Engine
from fleetsift.errors import PartitionsGivenUp, SourceError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import Listeners, Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.writer import StoreWriter
from fleetsift.streaming.care import Care
from fleetsift.streaming.frames.loader import FrameLoader
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.gaps import pass_gaps
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.scoring import score_ahead
from fleetsift.streaming.source import Topic
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
    care: Care | None = None  # where workers before this one have died

    @property
    def ahead(self) -> int:
        """Batches that are decoded ahead of the one being scored."""
        return 0 if self.care else 2


def score_partitions(job: Job, stop: Event, meter: Meter) -> None:
    """Score a job's partitions from where the store ends until `stop`, or until their end; what was read is published.

    Raises SourceError, EnsembleError, ConfigError or StoreError; published rows stay, the next run goes on after them.
    PartitionsGivenUp, where references are gone that should be scored next, is raised when the others have been read.
    """
    engine = job.open_engine()
    score_with(engine, job, stop, meter)
    engine.close()


def score_with(engine: Engine, job: Job, stop: Event, meter: Meter) -> None:
    """Do the same with an engine that is open, and stays so."""
    spec = job.care.apply_to(job.spec) if job.care else job.spec
    namespace = Namespace(job.topic.name, job.topic.topic_id, engine.ensemble_id, engine.classes)
    layout = RowLayout(engine.ensemble_id, engine.members, spec.metadata)
    listeners = Listeners(partial(confirm_topic, job.topic, stop), meter.published, meter.conflicted)
    store = StoreWriter(spec.store, namespace, layout, job.partitions, listeners, stop)
    source = job.topic.read(store.ends(), batch=spec.workers.batch, until_end=job.until_end)
    reader = FrameReader.open(spec.frames, stop)
    loader = FrameLoader(reader, engine.frame_size, job.decode_threads, job.ahead, meter.loaded)
    meter.begin(source, store)

    while True:
        references = job.care.read(source, stop) if job.care else source.batches(stop)
        loaded = meter.laps("load", loader.load(references))
        try:
            for refs, scores in meter.laps("score", score_ahead(engine, loaded, min(1, job.ahead))):
                store.append(refs, scores)
                meter.lap("rows")
                meter.count(scores.problems)
        except SourceError:
            store.flush()  # what was scored stays, whatever has become of what comes next
            raise
        store.flush()
        if not source.lost:
            break
        meter.given_up |= pass_gaps(source, store)
    if meter.given_up:
        raise PartitionsGivenUp(job.topic.name, meter.given_up)
