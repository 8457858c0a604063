"""A manifest as a topic: its parts are partitions, a row of a part is an offset, the hash of it all is its id."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import PurePosixPath
from threading import Event

from fleetsift.errors import SourceError
from fleetsift.patience import Patience
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.manifests.open import open_rows
from fleetsift.streaming.manifests.rows import Index
from fleetsift.streaming.source import Lag, LostPlace, SourceSilent


@dataclass(frozen=True, slots=True)
class ManifestTopic:
    """A manifest as it was when the run began; one that is written again has another id."""

    spec: ManifestSpec
    name: str
    topic_id: str
    manifest: Index

    @property
    def partitions(self) -> tuple[int, ...]:
        """One a part."""
        return tuple(range(len(self.manifest.parts)))

    @property
    def grows(self) -> bool:
        """It has an end."""
        return False

    @property
    def patience_s(self) -> float:
        """As configured."""
        return self.spec.outage_s

    def lag(self, ends: Mapping[int, int]) -> Lag:
        """Rows of each part after its chain's end."""
        return Lag({partition: self.manifest.parts[partition].rows - end for partition, end in ends.items()}, {})

    def loads(self, ends: Mapping[int, int]) -> dict[int, int]:
        """The same: no more will come."""
        return self.lag(ends).unread

    def look_again(self) -> ManifestTopic:
        """The same manifest; raises SourceError where it was written again or is gone."""
        with _reading(self.spec):
            look = open_rows(self.spec).look()
        if look != self.manifest.look:
            raise SourceError(
                f"manifest.path: {self.spec.path} was written again during the run; run again to score what it is now, "
                "as another topic"
            )
        return self

    def read(self, starts: Mapping[int, int], *, batch: int, until_end: bool) -> ManifestSource:
        """References of some parts, each from a row on, part after part."""
        return ManifestSource(self, starts, batch)


def open_manifest(spec: ManifestSpec) -> ManifestTopic:
    """Go through a manifest once, to find its parts and its hash; raises SourceError where it cannot be read."""
    with _reading(spec):
        found = open_rows(spec).index(spec.rows_per_part)
    if not found.parts:
        raise SourceError(f"manifest.path: {spec.path} has no rows; mend the path")
    # Rows of other parts, or frames at another rate, would be other rows at the same positions.
    identity = f"{found.digest} {spec.rows_per_part} {spec.step_s!r}"
    return ManifestTopic(spec, _name(spec), hashlib.sha256(identity.encode()).hexdigest()[:20], found)


class ManifestSource:
    """References of some parts, read one part after another."""

    def __init__(self, topic: ManifestTopic, starts: Mapping[int, int], batch: int) -> None:
        parts = topic.manifest.parts
        self._topic = topic
        self.starts = dict(sorted(starts.items()))
        self.lost: dict[int, LostPlace] = {}  # never: a manifest that was written again is another topic
        self._batch = batch
        self.polled = 0
        self.unread = {partition: parts[partition].rows - start for partition, start in self.starts.items()}

    def batches(self, stop: Event) -> Iterator[list[FrameRef]]:
        """Yield up to `batch` references at a time until `stop` or the end; raises SourceError.

        An object store that is away is waited for, and the manifest opened anew after the last reference.
        """
        patience = Patience(SourceSilent, self._topic.patience_s, stop)
        refs: Iterator[FrameRef] | None = None

        def take() -> list[FrameRef]:
            nonlocal refs
            try:
                with _reading(self._topic.spec):
                    refs = refs or chain.from_iterable(map(self._rest, self.starts))
                    return list(islice(refs, self._batch))
            except SourceSilent:
                refs = None
                raise

        while not stop.is_set() and (batch := patience.ask(take)):
            for ref in batch:
                self.unread[ref.position.partition] -= 1
            self.polled += len(batch)
            yield batch

    def _rest(self, partition: int) -> Iterator[FrameRef]:
        """What is unread of a part."""
        part, unread = self._topic.manifest.parts[partition], self.unread[partition]
        if not unread:
            return iter(())
        rows = open_rows(self._topic.spec)
        return islice(rows.read(part, self._topic.name, partition), part.rows - unread, None)


def _name(spec: ManifestSpec) -> str:
    """What rows say they come from: the manifest's own name without what no topic's name may have."""
    steps = [step for step in spec.path.split("/") if step and not set(step) & set("*?[")]
    named = PurePosixPath(steps[-1]).stem if steps else ""
    return spec.name or re.sub(r"[^a-zA-Z0-9._-]+", "-", named).strip("-.") or "manifest"


@contextmanager
def _reading(spec: ManifestSpec) -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise SourceSilent(f"manifest.path: no answer from {spec.path}, {error}; wait for it, or mend it") from error
    except OSError as error:
        raise SourceError(f"manifest.path: {spec.path} cannot be read, {error}; mend the path") from error
