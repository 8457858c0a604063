"""Who dies again and again is watched ever more closely, until the frame that kills is known; no other is blamed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from fleetsift.streaming.fleet.inquest import Inquest

BATCH = 3


class Died(Exception):
    """A worker of the model has."""


@dataclass
class Model:
    """Topics of a few frames, workers that read them as the real ones do, and what has been published."""

    kill: dict[int, set[int]]  # offsets that kill whoever touches them, by partition
    frames: int  # in each partition
    flush: int  # frames, of all partitions together, between two publishes of a worker that takes no care
    patience: int  # batches that a worker goes with care
    published: dict[int, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.published = {partition: [] for partition in self.kill}

    def ends(self) -> dict[int, int]:
        return {partition: len(rows) for partition, rows in self.published.items()}

    def work(self, inquest: Inquest, touches: int | None) -> None:
        """Go on from the chains' ends; raises Died at a frame that kills, or after so many touches."""
        read, kept = self.ends(), {partition: list[str]() for partition in inquest.reading}
        careful = inquest.batch_by_batch or bool(inquest.walk)
        for turn in count():
            if turn == self.patience and careful:
                break
            batch = self._batch(inquest, read, 1 if inquest.walk else BATCH)
            for partition, offset in batch:
                if inquest.suspect and (partition, offset) == (inquest.suspect.partition, inquest.suspect.end):
                    kept[partition].append("crash")
                    continue
                if touches is not None:
                    touches -= 1
                if offset in self.kill[partition] or touches == 0:
                    raise Died
                kept[partition].append("ok")
            if careful or not batch or sum(map(len, kept.values())) >= self.flush:
                for partition, rows in kept.items():
                    self.published[partition] += rows
                    rows.clear()
            if not batch:
                return

    def _batch(self, inquest: Inquest, read: dict[int, int], size: int) -> list[tuple[int, int]]:
        batch: list[tuple[int, int]] = []
        for partition in inquest.reading:
            while read[partition] < self.frames and len(batch) < size:
                batch.append((partition, read[partition]))
                read[partition] += 1
        return batch

    def run(self, kills: list[int | None]) -> int:
        """Start workers until all is read, each killed after so many touches or by none; returns how many died."""
        inquest, deaths = Inquest(tuple(self.kill)), 0
        lives = iter(kills)
        while True:
            try:
                self.work(inquest, next(lives, None))
            except Died:
                deaths += 1
                assert deaths < 2000, "it does not end"
                inquest = inquest.after_death(self.ends())
                continue
            following = inquest.after_survival()
            if following is None:
                return deaths
            inquest = following

    def expected(self) -> dict[int, list[str]]:
        return {p: ["crash" if at in kill else "ok" for at in range(self.frames)] for p, kill in self.kill.items()}


@st.composite
def models(draw: st.DrawFn) -> Model:
    frames = draw(st.integers(1, 40))
    some = st.sets(st.integers(0, frames - 1), max_size=3)
    kill = {partition: draw(some) for partition in range(draw(st.integers(1, 4)))}
    return Model(kill, frames, flush=draw(st.integers(1, 60)), patience=draw(st.integers(2 * BATCH, 30)))


@given(models())
def test_what_kills_is_found_and_nothing_else(model: Model) -> None:
    model.run([])
    assert model.published == model.expected()


@given(models(), st.lists(st.integers(1, 20), max_size=30))
def test_who_is_killed_now_and_then_blames_no_frame(model: Model, touches: list[int]) -> None:
    """kill -9 at any moment, but never of two workers in a row."""
    model.run([kill for touch in touches for kill in (touch, None)])
    assert model.published == model.expected()


@given(models())
def test_nobody_is_watched_for_ever(model: Model) -> None:
    """Two deaths before anybody takes care, one with it, two alone: for each frame, and each place a chain stays at."""
    places = sum(map(len, model.kill.values())) + len(model.kill) * model.frames // min(model.flush, model.patience)
    assert model.run([]) <= 5 * (places + 1)


def test_two_deaths_alone_at_one_end_are_needed() -> None:
    suspicious = Inquest((0, 1)).after_death({0: 4, 1: 7}).after_death({0: 4, 1: 9})
    assert (suspicious.batch_by_batch, suspicious.reading) == (True, (0, 1))
    alone = suspicious.after_death({0: 5, 1: 11})
    assert (alone.reading, alone.suspect) == ((0,), None)
    assert alone.after_death({0: 6, 1: 11}).after_death({0: 7, 1: 11}).suspect is None
    once = alone.after_death({0: 6, 1: 11})
    suspect = once.after_death({0: 6, 1: 11}).suspect
    assert suspect is not None
    assert (suspect.partition, suspect.end, suspect.deaths) == (0, 6, 2)


def test_it_is_not_the_frames_when_every_frame_kills() -> None:
    inquest = Inquest((0,)).after_death({0: 0}).after_death({0: 0}).after_death({0: 0})
    condemned = 0
    while not inquest.is_hopeless:
        inquest = inquest.after_death({0: condemned})
        condemned += inquest.suspect is not None
    assert condemned == 32
