"""Whether a frame is picked at the moment it arrives, knowing nothing of those that come after it.

Of a day's budget some picks are left, and some frames are still expected: as many as came the day before, less those
that came today. Their ratio is the share of frames that may be picked from here on, and a frame is picked where it is
worth more than that share of the last WINDOW frames are worth now: the secretary's rule, with a moving quantile in
place of one best (Babaioff et al., "A Knapsack Secretary Problem", 2007, has the idea; nothing is proved here). What a
frame is worth is greedy's product: what picks do not change, the distance to the nearest pick, and the shares that the
picks so far still lack. The window's distances and shares follow the picks.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from fleetsift.schemas.selection import Balance, Cap, Gap
from fleetsift.selectors.online.memory import Memory
from fleetsift.selectors.online.shares import SharesSoFar
from fleetsift.selectors.pools.pool import F32

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
    vector: F32 | None = None  # (D,) where an embedding is asked for
    balanced: tuple[str | None, ...] = ()  # values of the balances' keys, in their order


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
    balances: tuple[Balance, ...] = ()
    arrived: Counter[int] = field(default_factory=Counter)  # by day
    picks: list[Arrival] = field(default_factory=list)
    recent: deque[Arrival] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _picked: Counter[int] = field(default_factory=Counter)  # by day
    _held: list[Counter[str]] = field(default_factory=list)  # by rule: picks of each value
    _moments: list[defaultdict[str, list[int]]] = field(default_factory=list)  # by rule: when they were captured
    _shares: list[SharesSoFar] = field(default_factory=list)  # by balance
    _memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self._shares = [SharesSoFar(balance) for balance in self.balances]
        self._memory = Memory(WINDOW, len(self.balances))
        self._held = [Counter() for _ in self.rules]
        self._moments = [defaultdict(list) for _ in self.rules]

    def decide(self, frame: Arrival) -> OnlinePick | None:
        """Pick a frame or let it pass, for good."""
        day = frame.captured_us // DAY_US
        self.arrived[day] += 1
        squared = math.inf if self.strength is None else self._memory.nearest_squared(frame.vector)
        codes = self._codes(frame)
        pick = self._judge(frame, day, squared, codes) if self._admits(frame, day) else None
        self._memory.remember(frame.score, frame.vector, squared, codes)
        self.recent.append(frame)
        if pick is not None:
            self._count(frame, day)
        return pick

    def recall(self, arrived: Mapping[int, int], picks: Iterable[Arrival], recent: Iterable[Arrival]) -> None:
        """Know, from the beginning, how many arrived by day, what was picked, and the last WINDOW frames."""
        self.arrived.update(arrived)
        for frame in picks:
            self._count(frame, frame.captured_us // DAY_US)
        for frame in recent:
            squared = math.inf if self.strength is None else self._memory.nearest_squared(frame.vector)
            self._memory.remember(frame.score, frame.vector, squared, self._codes(frame))
            self.recent.append(frame)

    def _codes(self, frame: Arrival) -> list[int]:
        return [shares.code(value) for shares, value in zip(self._shares, frame.balanced, strict=True)]

    def _judge(self, frame: Arrival, day: int, squared: float, codes: Sequence[int]) -> OnlinePick | None:
        value, bound = self._worth(frame.score, squared, codes), self._bound(day)
        if value <= bound:
            return None
        distance = math.sqrt(squared) if squared < math.inf else None
        left = self.pace.per_day - self._picked[day] - 1
        return OnlinePick(frame.frame_id, frame.session_id, frame.uri, frame.captured_us, value, bound, distance, left)

    def _bound(self, day: int) -> float:
        """What a frame has to be worth more than: of the window, the share that may be picked is worth more."""
        share = (self.pace.per_day - self._picked[day]) / self._expected(day)
        if share >= 1:
            return -1.0
        if not len(self._memory):
            return math.inf  # the first frame can be compared with nothing
        return self._memory.bound(
            int(share * len(self._memory)), self.strength, [shares.factors for shares in self._shares]
        )

    def _expected(self, day: int) -> float:
        """How many frames the day still brings, the one at hand among them."""
        before = max((other for other in self.arrived if other < day), default=None)
        usual = self.pace.expected if before is None else self.arrived[before]
        arrived = self.arrived[day]
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
        self.picks.append(frame)
        for shares, code in zip(self._shares, self._codes(frame), strict=True):
            shares.pick(code)
        for value, held, moments in zip(frame.keys, self._held, self._moments, strict=True):
            if value is not None:
                held[value] += 1
                insort(moments[value], frame.captured_us)
        if self.strength is not None and frame.vector is not None:
            self._memory.pick(frame.vector)

    def _worth(self, score: float, squared: float, codes: Sequence[int]) -> float:
        worth = score
        if self.strength is not None and self._memory.picked:
            worth *= math.sqrt(squared) ** self.strength
        for shares, code in zip(self._shares, codes, strict=True):
            worth *= float(shares.factors[code])
        return worth


def _is_apart(moments: list[int], at_us: int, least_us: int) -> bool:
    """Whether a moment is at least so far from every other, which are in order."""
    place = bisect_left(moments, at_us)
    return all(abs(other - at_us) >= least_us for other in moments[max(0, place - 1) : place + 1])
