"""Everything the page shows, as values: no SQL, no pixels to decode, no markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleetsift.schemas.scores import RankingQuantity

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
    other: Shares | None = None  # of the batch it is compared with


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One value of a key, before and after."""

    pool: int
    batch: int
    pool_share: float
    batch_share: float
    other: int = 0
    other_share: float | None = None  # None where nothing is compared
    wanted_share: float | None = None  # where an objective balances the key


@dataclass(frozen=True, slots=True)
class Balance:
    """How the values of one key are represented in the pool and in the batch; all shares of a side sum to 1."""

    key: str  # the SQL expression
    rows: tuple[tuple[str | None, BalanceRow], ...]  # the pool's most common values first; None: no value given
    rest: BalanceRow | None  # all other values together
    pool_values: int  # distinct values, without None
    batch_values: int
    target: str | None = None  # what the batch was to come near to, where an objective balances the key


@dataclass(frozen=True, slots=True)
class AreaRow:
    """One class: its mean share of a frame, on each side."""

    name: str
    pool: float
    batch: float
    other: float | None = None
    wanted: float | None = None  # share of the batch's area, where an objective balances it


@dataclass(frozen=True, slots=True)
class Areas:
    """How much of the frames each class takes, the largest first."""

    expression: str  # a struct column with one number a class
    rows: tuple[AreaRow, ...]
    more: int  # classes that are not shown
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """One frame on the embedding map; x and y in widths of the map, y downwards."""

    x: float
    y: float
    frame_id: str
    rank: int | None  # in the batch, where it is a pick
    side: str  # `batch`, `other` (only the batch it is compared with), `common` (both)


@dataclass(frozen=True, slots=True)
class EmbeddingMap:
    """Pool and picks in the plane in which the pool's embeddings differ most."""

    pool: tuple[tuple[float, float], ...]  # x and y, of a sample
    labelled: tuple[tuple[float, float], ...]
    earlier: tuple[tuple[float, float], ...]  # picks of earlier rounds
    picks: tuple[Dot, ...]
    height: float  # in widths of the map
    explained: float  # share of the pool's variance that the plane shows


@dataclass(frozen=True, slots=True)
class Gain:
    """One number of the batch beside the number it is to be compared with."""

    name: str
    unit: str
    baseline: float
    batch: float
    against: str  # what the baseline is, in words
    other: float | None = None  # of the batch it is compared with


@dataclass(frozen=True, slots=True)
class CapRow:
    """One value that reached its cap."""

    value: str | None
    before: int  # picks of earlier rounds, and labelled frames, that the cap counts
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
    binding: bool  # whether it alone kept a candidate out
    rows: tuple[CapRow, ...]  # those that kept out most


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What a gap, threshold, guard or quota did."""

    title: str  # the rule in words
    outcome: str  # what it did, in words
    binding: bool  # whether it alone kept a candidate out, or a quota is just held or lacks picks


@dataclass(frozen=True, slots=True)
class Comparison:
    """This batch beside another one of the same store."""

    other: str  # how it is called
    size: int
    common: int  # picks in both
    only: tuple[str, ...]  # its picks that this batch has not, in its order; the first of them
    only_count: int
    strangers: int  # its picks that are no candidates of this batch's pool
    differences: tuple[tuple[str, str, str], ...]  # of the specifications: field, here, there


@dataclass(frozen=True, slots=True)
class Drawing:
    """A frame and its heat map, both encoded as WebP at the same size."""

    thumbnail: bytes
    heat_map: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What the store says of a picked frame."""

    vehicle_id: str | None
    camera: str | None
    captured_at: datetime | None
    metadata: tuple[tuple[str, str], ...]
    scores: tuple[tuple[str, float], ...]  # SQL expression, nats
    above: float  # share of the pool that ranks lower by the headline's quantity: its top, or mean of a region


@dataclass(frozen=True, slots=True)
class PickFacts:
    """One picked frame and its receipt."""

    rank: int
    frame_id: str
    session_id: str
    uri: str
    of_frame: FrameFacts
    value: float  # the product that was maximal
    factors: tuple[tuple[str, float], ...]
    nearest: str | None
    nearest_rank: int | None  # where `nearest` is a pick of this batch
    nearest_before: str | None  # else what it is: `labelled before`, or `picked in an earlier round`
    distance: float | None
    turn: str | None
    rules: tuple[tuple[str, str], ...]  # what each constraint had left for it, in words
    drawing: Drawing | None
    no_drawing: str | None  # why there is none


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a batch counts beside its own picks."""

    batches: tuple[str, ...]  # the batches that it names as going on from
    picks: int  # of all earlier rounds
    labelled: int  # frames that were labelled before
    counted_in: tuple[str, ...]  # where those count: `balance`, `caps`, ...; picks of earlier rounds count everywhere


@dataclass(frozen=True, slots=True)
class Headline:
    """What was picked of what, by whom, when."""

    title: str
    unit: str  # what was picked: `frame`, or `region`
    made_at: datetime
    ensemble_id: str
    members: int
    quantity: RankingQuantity  # what frames are ranked by, and heat maps show
    pool_size: int
    batch_size: int
    budget: int
    blocked_by: tuple[
        tuple[tuple[str, ...], int], ...
    ]  # rules, and how many candidates just these kept out; most first
    owed: tuple[tuple[str, int], ...]  # quota, picks that it lacks
    captured_from: datetime | None
    captured_to: datetime | None
    earlier: Earlier

    @property
    def shortfall(self) -> int:
        """How many frames the budget would have admitted beyond the batch."""
        return self.budget - self.batch_size


@dataclass(frozen=True, slots=True)
class Origin:
    """What the batch follows from."""

    specification: str  # JSON
    snapshot: tuple[tuple[str, str, int], ...]  # topic, partition, the offset its rows reach to


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """One batch, ready to be shown: a field a section of the page."""

    headline: Headline
    gains: tuple[Gain, ...]
    scores: tuple[Histogram, ...]
    balances: tuple[Balance, ...]
    measures: tuple[Histogram, ...]  # numeric metadata
    areas: tuple[Areas, ...]
    embedding_map: EmbeddingMap | None
    caps: tuple[CapFacts, ...]
    rules: tuple[RuleFacts, ...]
    picks: tuple[PickFacts, ...]  # the first of the batch, where it is too large to show
    heat_scale: float | None  # nats at the bright end of every heat map; None where there is no heat map
    origin: Origin
    comparison: Comparison | None = None
