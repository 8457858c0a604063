"""The workers of a run: who has which share, who has to hand one over, and what all of them have told.

When shares are dealt anew, only those whose share changes drain and end; once they have published, others begin with
the new shares. Everybody else works on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fleetsift.streaming.fleet.actors import Hand, wait_for_any
from fleetsift.streaming.fleet.shares import Share, share_out
from fleetsift.streaming.progress import RunProgress, join_readings


class Crew:
    """The workers of a run, as its supervisor sees them."""

    def __init__(self, hire: Callable[[Share, int], Hand], listeners: Sequence[Callable[[RunProgress], None]]) -> None:
        """`hire` starts a worker with a share and a number; `listeners` are told after every look."""
        self._hire = hire
        self._listeners = listeners
        self._began = time.monotonic()
        self._wanted: list[Share] = []
        self._hands: list[Hand] = []
        self._relieved: list[Hand] = []  # who have handed over their shares
        self._hired = 0
        self.progress = RunProgress({}, None, 0.0, 0, 0)

    @property
    def settled(self) -> bool:
        """Whether nobody is about to hand over a share."""
        return not self._leaving()

    @property
    def given_up(self) -> dict[int, str]:
        """Partitions that are not gone on with, and why, as those who had them last have told."""
        told: dict[int, str] = {}
        for hand in self._relieved + self._hands:
            told = {p: reason for p, reason in told.items() if p not in hand.partitions} | hand.given_up
        return told

    def deal(self, loads: Mapping[int, int], size: int) -> None:
        """Deal partitions, each with its load, to so many workers at the next look; only while settled.

        Who has come to an end stays so.
        """
        finished = [hand.partitions for hand in self._hands if hand.done]
        over = {p for share in finished for p in share}
        working = sorted((hand for hand in self._hands if not hand.done), key=lambda hand: not hand.heard)
        held = [hand.partitions for hand in working]
        self._wanted = finished + share_out({p: load for p, load in loads.items() if p not in over}, size, held)

    def look(self, *, draining: bool) -> bool:
        """See how everybody is; returns whether there is something to wait for, be it room for a first worker."""
        for hand in self._hands:
            hand.look(draining=draining or hand.partitions not in self._wanted)
        leaving = self._leaving()
        if all(hand.done for hand in leaving):
            self._relieved += leaving
            self._hands = [hand for hand in self._hands if hand not in leaving]
            if not draining:
                held = {hand.partitions for hand in self._hands}
                self._hands += [self._begin(share) for share in self._wanted if share not in held]
        self.progress = self._sum_up()
        for listener in self._listeners:
            listener(self.progress)
        return any(not hand.done for hand in self._hands) or (not self._hands and not draining)

    def wait(self, timeout_s: float) -> None:
        """Return when somebody has finished or died, at the latest after so many seconds."""
        wait_for_any([hand for hand in self._hands if not hand.done], timeout_s)

    def _leaving(self) -> list[Hand]:
        return [hand for hand in self._hands if hand.partitions not in self._wanted]

    def _begin(self, share: Share) -> Hand:
        self._hired += 1
        return self._hire(share, self._hired - 1)

    def _sum_up(self) -> RunProgress:
        hands = self._relieved + self._hands
        lags = [hand.lag for hand in self._hands if hand.lag is not None]
        return RunProgress(
            rows=dict(sum((hand.rows for hand in hands), Counter[str]())),
            lag=sum(lags) if 0 < len(lags) == len(self._hands) else None,
            elapsed_s=time.monotonic() - self._began,
            workers=len(self._hands),
            restarts=sum(hand.restarts for hand in hands),
            readings=join_readings(hand.readings for hand in hands),
        )
