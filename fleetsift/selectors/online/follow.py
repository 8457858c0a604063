"""A store followed as its rows are published: what is picked is picked at once, under a budget a day."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from fleetsift.errors import SelectionError, StoreError
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.online.arrivals import arrivals, new_since, policy_of, read_given
from fleetsift.selectors.online.checkpoint import read_checkpoint, recall, write_checkpoint
from fleetsift.selectors.online.ledger import Begun, Ledger
from fleetsift.selectors.online.policy import OnlinePick, Pace
from fleetsift.selectors.pools.pool import F32
from fleetsift.store.views import ScoreStore

POLL_S = 2.0
CHECKPOINT_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of following a store."""

    judged: int  # frames, those of earlier runs among them; one that was sent again and not picked counts again
    judged_now: int  # frames, in this run
    picked: tuple[str, ...]  # frame_ids, those of earlier runs first


class Follower:
    """Judges the reads of a ledger, one after the other, from where its checkpoint stands."""

    def __init__(self, ledger: Ledger, given: Mapping[str, F32]) -> None:
        """given: what `read_given` gives."""
        self._ledger, self._given = ledger, given
        self._policy = policy_of(ledger.begun.spec, ledger.begun.pace)
        checkpoint = read_checkpoint(ledger)
        if checkpoint:
            recall(self._policy, checkpoint)
        self.reads = checkpoint.reads if checkpoint else 0
        self.judged = checkpoint.judged if checkpoint else 0
        self.judged_before = self.judged
        self._picked = {frame.frame_id for frame in self._policy.picks}
        self._checked_at = time.monotonic()

    def judge_next(self, store: ScoreStore, on_pick: Callable[[OnlinePick], None]) -> None:
        """Judge the rows of the next read; raises SelectionError where what is picked is not what the ledger says."""
        for frame in arrivals(store, self._ledger.begun.spec, self._ledger.reads[self.reads], self._given):
            if frame.frame_id in self._picked:
                continue
            self.judged += 1
            pick = self._policy.decide(frame)
            if pick is not None:
                self._picked.add(pick.frame_id)
                self._write(pick, on_pick)
        self.reads += 1

    def checkpoint(self, *, now: bool) -> None:
        """Put down how far it is: now, or where the last time was a while ago."""
        if now or time.monotonic() - self._checked_at >= CHECKPOINT_EVERY_S:
            write_checkpoint(self._ledger, self.judged, self._policy)
            self._checked_at = time.monotonic()

    def _write(self, pick: OnlinePick, on_pick: Callable[[OnlinePick], None]) -> None:
        made, written = len(self._policy.picks), self._ledger.picked
        if made > len(written):
            self._ledger.pick(pick)
            on_pick(pick)
        elif written[made - 1] != pick.frame_id:
            raise SelectionError(
                f"{self._ledger.path}: expected pick {made} to be {pick.frame_id!r}, as the store's rows have it, got "
                f"{written[made - 1]!r}; what is labelled, or the store, is another: name another file"
            )


def follow_store(
    store: str,
    spec: SelectionSpec,
    pace: Pace,
    out: Path,
    *,
    stop: Event,
    until_end: bool = False,
    on_pick: Callable[[OnlinePick], None] = lambda _: None,
) -> Followed:
    """Pick from a store into a file until `stop` is set, or until its present end.

    The file goes on where it ends: rows that were read after its checkpoint are judged again in the same order, so that
    the state is what it was, and what is written already is not written twice.
    Raises SelectionError where the specification cannot be decided one frame at a time, the file belongs to another, or
    what it says no longer follows from the store; StoreError where there is no store.
    """
    policy_of(spec, pace)
    with _wait_for(store, stop, until_end=until_end) as first:
        given = read_given(first, spec)
        begun = Begun(ensemble_id=first.ensemble_id, spec=spec, pace=pace)
    with Ledger(out, begun) as ledger:
        follower = Follower(ledger, given)
        while True:
            with ScoreStore(store) as opened:
                _expect_ensemble(opened, begun.ensemble_id)
                while follower.reads < len(ledger.reads):
                    follower.judge_next(opened, on_pick)
                if new := new_since(opened, ledger.reached):
                    ledger.read(new)
                    follower.judge_next(opened, on_pick)
            ended = until_end or stop.wait(POLL_S)
            follower.checkpoint(now=ended)
            if ended:
                return Followed(follower.judged, follower.judged - follower.judged_before, tuple(ledger.picked))


def _expect_ensemble(store: ScoreStore, ensemble_id: str) -> None:
    if store.ensemble_id != ensemble_id:
        raise SelectionError(
            f"{store.path}: expected scores of {ensemble_id}, got those of {store.ensemble_id}, which do not compare; "
            "name another file"
        )


def _wait_for(store: str, stop: Event, *, until_end: bool) -> ScoreStore:
    """The store, once something is published in it."""
    while True:
        try:
            return ScoreStore(store)
        except StoreError:
            if until_end or stop.wait(POLL_S):
                raise
