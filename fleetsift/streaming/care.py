"""How a worker goes on where others have died: nothing read ahead, everything published at once, and not for long.

What they died on then stands within a batch of the end of its partition's chain, or right there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event

import msgspec

from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.frames import FrameRef
from fleetsift.schemas.status import Problem, Status
from fleetsift.streaming.source import Source


@dataclass(frozen=True, slots=True)
class Suspect:
    """The first reference at the end of a partition's chain, on which workers have died."""

    partition: int
    end: int
    deaths: int

    def condemn(self, ref: FrameRef) -> FrameRef:
        """The reference with a problem: it is neither fetched nor decoded nor scored, it becomes a row."""
        reason = f"{self.deaths} workers died on this frame, alone with it; it was not touched again"
        return replace(ref, problem=ref.problem or Problem(Status.CRASH, reason))


@dataclass(frozen=True, slots=True)
class Care:
    """Publish every batch before the next is touched, for so many references or so long, whichever ends first."""

    batch: int
    most_s: float
    most_refs: int | None = None
    suspect: Suspect | None = None

    def apply_to(self, spec: FleetSpec) -> FleetSpec:
        """The configuration with batches of that size, each published by itself."""
        workers = msgspec.structs.replace(spec.workers, batch=self.batch)
        return msgspec.structs.replace(spec, workers=workers, store=msgspec.structs.replace(spec.store, flush_rows=1))

    def read(self, source: Source, stop: Event) -> Iterator[list[FrameRef]]:
        """What a source yields, for as long as that; the suspect comes first, where it is still at its chain's end."""
        suspect = self.suspect
        if suspect and source.starts.get(suspect.partition) != suspect.end:
            suspect = None
        until_s, read = time.monotonic() + self.most_s, 0
        for batch in source.batches(stop):
            refs = batch
            if suspect and refs:
                refs, suspect = [suspect.condemn(refs[0]), *refs[1:]], None
            yield refs
            read += len(refs)
            if time.monotonic() >= until_s or (self.most_refs is not None and read >= self.most_refs):
                return
