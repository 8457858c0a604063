"""A store followed as its rows are published: what is picked is picked at once, under a budget a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from fleetsift.errors import SelectionError, StoreError
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.online.arrivals import Read, arrivals, new_since, policy_of, read_given
from fleetsift.selectors.online.ledger import Begun, Ledger
from fleetsift.selectors.online.policy import OnlinePick, Pace
from fleetsift.store.views import ScoreStore

POLL_S = 2.0


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of following a store."""

    judged: int  # frames, those of earlier runs among them
    picked: tuple[str, ...]  # frame_ids, those of earlier runs first


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

    The file goes on where it ends: the same rows are judged again in the same order, so that the state is what it was,
    and what is written already is not written twice.
    Raises SelectionError where the specification cannot be decided one frame at a time, the file belongs to another, or
    what it says no longer follows from the store; StoreError where there is no store.
    """
    policy_of(spec, pace)
    with _wait_for(store, stop, until_end=until_end) as first:
        given = read_given(first, spec)
        begun = Begun(ensemble_id=first.ensemble_id, spec=spec, pace=pace)
    with Ledger(out, begun) as ledger:
        policy, known, seen = policy_of(spec, pace), set[str](), dict[str, dict[str, int]]()
        written = list(ledger.picked)
        made = 0

        def judge(opened: ScoreStore, read: Read) -> None:
            nonlocal made
            for frame in arrivals(opened, spec, read, given):
                if frame.frame_id in known:
                    continue
                known.add(frame.frame_id)
                pick = policy.decide(frame)
                if pick is None:
                    continue
                made += 1
                if made > len(written):
                    ledger.pick(pick)
                    on_pick(pick)
                elif written[made - 1] != pick.frame_id:
                    raise SelectionError(
                        f"{out}: expected pick {made} to be {pick.frame_id!r}, as the store's rows have it, got "
                        f"{written[made - 1]!r}; what is labelled, or the store, is another: name another file"
                    )
            for topic, spans in read.items():
                seen.setdefault(topic, {}).update({partition: end for partition, (_, end) in spans.items()})

        replayed = list(ledger.reads)
        while True:
            with ScoreStore(store) as opened:
                if opened.ensemble_id != begun.ensemble_id:
                    raise SelectionError(
                        f"{store}: expected scores of {begun.ensemble_id}, got those of {opened.ensemble_id}, which do "
                        "not compare; name another file"
                    )
                for read in replayed:
                    judge(opened, read)
                replayed = []
                if read := new_since(opened, seen):
                    ledger.read(read)
                    judge(opened, read)
            if until_end or stop.wait(POLL_S):
                return Followed(len(known), tuple(ledger.picked))


def _wait_for(store: str, stop: Event, *, until_end: bool) -> ScoreStore:
    """The store, once something is published in it."""
    while True:
        try:
            return ScoreStore(store)
        except StoreError:
            if until_end or stop.wait(POLL_S):
                raise
