"""Whether a frame is picked at the moment it arrives, knowing nothing of those that come after it.

Of a day's budget some picks are left, and some frames are still expected: as many as came the day before, less those
that came today. Their ratio is the share of frames that may be picked from here on, and a frame is picked where it is
worth more than that share of the last WINDOW frames are worth now: the secretary's rule, with a moving quantile in
place of one best (Babaioff et al., "A Knapsack Secretary Problem", 2007, has the idea; nothing is proved here). What a
frame is worth is greedy's product of score and distance to the nearest pick; the window's distances follow the picks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import msgspec
import numpy as np

from fleetsift.schemas.selection import Cap, Gap
from fleetsift.selectors.pool import F32, F64

WINDOW = 2_000  # frames whose worth is remembered
MORE = 0.05  # of the frames of a day so far: how many are expected when as many came as the day before
DAY_US = 86_400_000_000


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be picked a day (UTC, of captured_at), and how many frames the first day is expected to bring."""

    per_day: int
    expected: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame as it arrives, with what the selection asks of it."""

    frame_id: str
    session_id: str
    uri: str
    captured_us: int  # microseconds since 1970
    score: float  # product of the objectives that picks do not change
    keys: tuple[str | None, ...]  # values of the caps' and gaps' keys, in their order
    vector: F32 | None = None  # (D,) where diversity is asked for


@dataclass(frozen=True, slots=True)
class OnlinePick:
    """A pick, and why: it was worth more than the bound at that moment."""

    frame_id: str
    session_id: str
    uri: str
    captured_us: int
    value: float
    bound: float  # what it had to be worth more than; -1 where any frame was welcome
    distance: float | None  # to the nearest earlier pick
    left_today: int  # of the day's budget, after it


@dataclass(slots=True)
class Policy:
    """The picks so far, and a memory of the last frames; the same arrivals in one order give the same picks."""

    pace: Pace
    rules: tuple[Cap | Gap, ...]
    strength: float | None  # of diversity; None where it is not asked for
    _arrived: Counter[int] = field(default_factory=Counter)  # by day
    _picked: Counter[int] = field(default_factory=Counter)  # by day
    _held: list[Counter[str]] = field(default_factory=list)  # by rule: picks of each value
    _moments: list[defaultdict[str, list[int]]] = field(default_factory=list)  # by rule: when they were captured
    _picks: list[F32] = field(default_factory=list)
    _window: list[Arrival] = field(default_factory=list)
    _squared: list[float] = field(default_factory=list)  # of the window: squared distance to the nearest pick

    def __post_init__(self) -> None:
        self._held = [Counter() for _ in self.rules]
        self._moments = [defaultdict(list) for _ in self.rules]

    def decide(self, frame: Arrival) -> OnlinePick | None:
        """Pick a frame or let it pass, for good."""
        day = frame.captured_us // DAY_US
        self._arrived[day] += 1
        squared = self._nearest(frame)
        pick = self._judge(frame, day, squared) if self._admits(frame, day) else None
        self._remember(frame, squared)
        if pick is not None:
            self._count(frame, day)
        return pick

    def _judge(self, frame: Arrival, day: int, squared: float) -> OnlinePick | None:
        value, bound = self._worth(frame.score, squared), self._bound(day)
        if value <= bound:
            return None
        distance = float(np.sqrt(squared)) if self._picks else None
        left = self.pace.per_day - self._picked[day] - 1
        return OnlinePick(frame.frame_id, frame.session_id, frame.uri, frame.captured_us, value, bound, distance, left)

    def _bound(self, day: int) -> float:
        """What a frame has to be worth more than: of the window, the share that may be picked is worth more."""
        share = (self.pace.per_day - self._picked[day]) / self._expected(day)
        if share >= 1:
            return -1.0
        known = len(self._window)
        if not known:
            return np.inf  # the first frame can be compared with nothing
        values = np.sort(self._worths())[::-1]
        return float(values[min(int(share * known), known - 1)])

    def _expected(self, day: int) -> float:
        """How many frames the day still brings, the one at hand among them."""
        before = max((other for other in self._arrived if other < day), default=None)
        usual = self.pace.expected if before is None else self._arrived[before]
        arrived = self._arrived[day]
        return 1 + max(usual - arrived, MORE * arrived)

    def _admits(self, frame: Arrival, day: int) -> bool:
        """Whether the day's budget, the caps and the gaps have room for a frame."""
        if self._picked[day] >= self.pace.per_day:
            return False
        for rule, value, held, moments in zip(self.rules, frame.keys, self._held, self._moments, strict=True):
            if value is None:
                continue
            if isinstance(rule, Cap) and held[value] >= rule.most:
                return False
            if isinstance(rule, Gap) and not _is_apart(moments[value], frame.captured_us, round(rule.least_s * 1e6)):
                return False
        return True

    def _count(self, frame: Arrival, day: int) -> None:
        self._picked[day] += 1
        for value, held, moments in zip(frame.keys, self._held, self._moments, strict=True):
            if value is not None:
                held[value] += 1
                insort(moments[value], frame.captured_us)
        if frame.vector is None:
            return
        self._picks.append(frame.vector)
        vectors = np.array([other.vector for other in self._window], np.float32)
        seen = _squared_to(vectors, frame.vector)
        self._squared = np.minimum(self._squared, seen).tolist()

    def _remember(self, frame: Arrival, squared: float) -> None:
        self._window.append(frame)
        self._squared.append(squared)
        if len(self._window) > WINDOW:
            del self._window[0], self._squared[0]

    def _nearest(self, frame: Arrival) -> float:
        """Squared distance to the nearest pick; infinite before the first."""
        if frame.vector is None or not self._picks:
            return float("inf")
        return float(_squared_to(np.array(self._picks), frame.vector).min())

    def _worths(self) -> F64:
        """What each remembered frame would be worth now."""
        scores = np.array([frame.score for frame in self._window])
        if self.strength is None or not self._picks:
            return scores
        worths: F64 = scores * np.sqrt(np.array(self._squared)) ** self.strength
        return worths

    def _worth(self, score: float, squared: float) -> float:
        if self.strength is None or not self._picks:
            return score
        return float(score * np.sqrt(squared) ** self.strength)


def _squared_to(vectors: F32, one: F32) -> F64:
    """Squared distances of N vectors (N, D) to one (D,), (N,), summed in float64."""
    squared: F64 = ((vectors.astype(np.float64) - one) ** 2).sum(axis=1)
    return squared


def _is_apart(moments: list[int], at_us: int, least_us: int) -> bool:
    """Whether a moment is at least so far from every other, which are in order."""
    place = bisect_left(moments, at_us)
    return all(abs(other - at_us) >= least_us for other in moments[max(0, place - 1) : place + 1])
