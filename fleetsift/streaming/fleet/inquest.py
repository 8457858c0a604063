"""An inquest into the deaths of the workers of some partitions: is there a frame that kills them, and which is it?

Nobody knows what a worker had in hand when it died; all there is to go by is where the chains of its partitions end. So
whoever comes after those who died goes ever more closely, until the first reference at a chain's end is all that a
worker can have touched:

1. *as configured*: anything may have killed it, and mostly it was no frame. But where two workers in a row die with a
   chain at one end, that is suspicious;
2. *batch by batch*, all partitions together: the frame, if there is one, is then within a batch of its chain's end;
3. *frame by frame*, one partition alone after another, a little further than a batch. Two workers that die there in a
   row, at one end, died of the reference at that end: the next one writes it as a row with status `crash`, untouched.

Who survives goes back by one step, so that frames of a kind are met with care.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleetsift.streaming.care import Care, Suspect
from fleetsift.streaming.run import Job

_SUSPICIOUS = 2  # workers in a row that died with a chain at one end
_CERTAIN = 2  # workers in a row that died alone with one frame
_MOST_CRASHES = 32  # condemned in a row, nobody surviving what came after: it is not the frames then


@dataclass(frozen=True, slots=True)
class Inquest:
    """What is known of the deaths so far: a value, from which each death and each survival makes the next."""

    partitions: tuple[int, ...]
    ends: Mapping[int, int] = field(default_factory=dict)  # of their chains, at the last death
    deaths: Mapping[int, int] = field(default_factory=dict)  # in a row that found a chain at that end, in one manner
    batch_by_batch: bool = False
    walk: tuple[int, ...] = ()  # partitions still to be gone through frame by frame, the first one now
    crashes: int = 0  # frames condemned since a worker last survived

    @property
    def reading(self) -> tuple[int, ...]:
        """The partitions that the next worker reads."""
        return self.walk[:1] or self.partitions

    @property
    def suspect(self) -> Suspect | None:
        """The frame that the next worker writes as a row without touching it."""
        if not self.walk or self.deaths.get(self.walk[0], 0) < _CERTAIN:
            return None
        return Suspect(self.walk[0], self.ends[self.walk[0]], self.deaths[self.walk[0]])

    @property
    def is_hopeless(self) -> bool:
        """Whether so many frames in a row were condemned that it cannot be the frames."""
        return self.crashes >= _MOST_CRASHES

    def after_death(self, ends: Mapping[int, int]) -> Inquest:
        """What is known once a worker has died that had begun to read, and the chains end there."""
        deaths = {p: self.deaths.get(p, 0) + 1 if ends[p] == self.ends.get(p) else 1 for p in self.reading}
        seen = replace(self, ends=dict(ends), deaths=deaths)
        if self.walk:
            condemned = self.suspect is not None and deaths[self.walk[0]] == 1
            return replace(seen, crashes=self.crashes + condemned)
        if self.batch_by_batch:
            return replace(seen, deaths={}, batch_by_batch=False, walk=self.partitions)
        return replace(seen, batch_by_batch=max(deaths.values()) >= _SUSPICIOUS)

    def after_survival(self) -> Inquest | None:
        """What is known once a worker has come to the end of what it was given; None where that was everything."""
        if not self.walk and not self.batch_by_batch:
            return None
        walk = self.walk[1:]
        return replace(self, deaths={}, crashes=0, walk=walk, batch_by_batch=bool(self.walk) and not walk)


def assign(job: Job, inquest: Inquest) -> Job:
    """What the next worker does: the job as configured, or with care and for a while."""
    batch = job.spec.workers.batch
    most_s = 2 * job.spec.store.flush_s  # who died without publishing had read for half of that, less carefully
    if inquest.walk:
        care = Care(1, most_s, most_refs=2 * batch, suspect=inquest.suspect)
        return replace(job, partitions=inquest.reading, until_end=True, care=care)
    return replace(job, care=Care(batch, most_s)) if inquest.batch_by_batch else job
