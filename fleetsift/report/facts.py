"""Everything the page shows, as values: no SQL, no pixels to decode, no markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Edges = tuple[float, ...]  # K + 1, increasing; bin k is (edges[k], edges[k + 1]], the first one closed
Shares = tuple[float, ...]  # K, sum to 1 where there is any value


@dataclass(frozen=True, slots=True)
class Histogram:
    """How one number is distributed over the pool and over the batch, in the same bins."""

    name: str  # the SQL expression
    edges: Edges
    pool: Shares
    batch: Shares
    pool_absent: int  # frames without a value
    batch_absent: int


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One value of a key, before and after."""

    pool: int
    batch: int
    pool_share: float
    batch_share: float


@dataclass(frozen=True, slots=True)
class Balance:
    """How the values of one key are represented in the pool and in the batch; all shares of a side sum to 1."""

    key: str  # the SQL expression
    rows: tuple[tuple[str | None, BalanceRow], ...]  # the pool's most common values first; None: no value given
    rest: BalanceRow | None  # all other values together
    pool_values: int  # distinct values, without None
    batch_values: int


@dataclass(frozen=True, slots=True)
class Gain:
    """One number of the batch beside the number it is to be compared with."""

    name: str
    unit: str
    baseline: float
    batch: float
    against: str  # what the baseline is, in words


@dataclass(frozen=True, slots=True)
class CapRow:
    """One value that reached its cap."""

    value: str | None
    picked: int
    kept_out: int  # candidates of this value that were not picked


@dataclass(frozen=True, slots=True)
class CapFacts:
    """What one cap did."""

    key: str
    most: int
    values: int  # distinct values in the pool
    reached: int  # of them
    kept_out: int  # candidates, over every value that reached the cap
    rows: tuple[CapRow, ...]  # those that kept out most


@dataclass(frozen=True, slots=True)
class Drawing:
    """A frame and its heat map of mutual information, both encoded as WebP at the same size."""

    thumbnail: bytes
    heat_map: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PickFacts:
    """One picked frame and its receipt."""

    rank: int
    frame_id: str
    session_id: str
    uri: str
    vehicle_id: str | None
    camera: str | None
    captured_at: datetime | None
    metadata: tuple[tuple[str, str], ...]
    scores: tuple[tuple[str, float], ...]  # SQL expression, nats
    above: float  # share of the pool with a lower mutual_information.top
    value: float  # the product that was maximal
    factors: tuple[tuple[str, float], ...]
    nearest: str | None
    nearest_rank: int | None  # where `nearest` is a pick of this batch
    distance: float | None
    turn: str | None
    room_left: tuple[tuple[str, int], ...]
    drawing: Drawing | None
    no_drawing: str | None  # why there is none


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """One batch, ready to be shown."""

    title: str
    made_at: datetime
    ensemble_id: str
    members: int
    pool_size: int
    batch_size: int
    budget: int
    blocked_by: tuple[tuple[str, int], ...]  # constraint, candidates it alone kept out; where the budget was not met
    captured_from: datetime | None
    captured_to: datetime | None
    gains: tuple[Gain, ...]
    scores: tuple[Histogram, ...]
    balances: tuple[Balance, ...]
    measures: tuple[Histogram, ...]  # numeric metadata
    caps: tuple[CapFacts, ...]
    picks: tuple[PickFacts, ...]  # the first of the batch, where it is too large to show
    heat_scale: float | None  # nats at the bright end of every heat map; None where there is no heat map
    specification: str  # JSON
    snapshot: tuple[tuple[str, str, int], ...]  # topic, partition, the offset its rows reach to

    @property
    def shortfall(self) -> int:
        """How many frames the budget would have admitted beyond the batch."""
        return self.budget - self.batch_size
