"""How much of a pool is said twice: distances to nearest neighbours, and how many frames are really distinct.

Two frames are alike where the networks' embeddings are nearer to each other than a quarter of what two frames drawn by
lot are apart (the median of that). So it matters neither how a drive is cut into sessions nor how long the embeddings
are. Vectors drawn independently in eight and more dimensions are hardly ever that near: of 2,000, 93 % are distinct.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleetsift.advice.sample import Sample
from fleetsift.schemas.scores import RankingQuantity
from fleetsift.schemas.selection import Diversity, Objective, Random, Score, SelectionSpec, StrategyName
from fleetsift.selectors.compiled import compile_cached
from fleetsift.selectors.objectives.diversity import in_tiles, nearest_squared
from fleetsift.selectors.objectives.typicality import mean_distances
from fleetsift.selectors.pools.pool import F32, F64, Pool, Rows
from fleetsift.selectors.select import select

SHARES = (0.01, 0.03, 0.1, 0.3)  # of the sample: budgets at which strategies are compared, beside the one asked for
ALIKE = 0.25  # of the median distance between two frames

# by what frames are ranked by: the strategies that mean something then
_WAYS: Mapping[RankingQuantity, Mapping[StrategyName, tuple[Objective, ...]]] = {
    "mutual_information": {
        "random": (Random(),),
        "bald": (Score(expression="score"),),
        "coreset": (Diversity(),),
        "coral": (Score(expression="score"), Diversity()),
    },
    "entropy": {
        "random": (Random(),),
        "entropy": (Score(expression="score"),),
        "coreset": (Diversity(),),
    },
}


@dataclass(frozen=True, slots=True)
class AtBudget:
    """What one strategy picks of the sample at one budget."""

    strategy: StrategyName
    budget: int  # frames of the sample
    distinct: int  # of them
    score: float  # mean of the picks, nats


@dataclass(frozen=True, slots=True)
class Redundancy:
    """How alike the frames of a sample are; distances are Euclidean, in the embedding."""

    within_sessions: float | None  # median distance to the nearest frame of the same session; None without two of one
    between_sessions: float | None  # median distance to the nearest frame of another session; None with one session
    alike_below: float  # frames nearer to each other than this are alike
    distinct: int  # frames that are left when of alike frames one is kept
    frames: int  # that were looked at
    quantity: RankingQuantity  # that `score` is of
    budgets: tuple[AtBudget, ...]

    @property
    def share_distinct(self) -> float:
        """Distinct frames of all that were looked at."""
        return self.distinct / self.frames


def measure_redundancy(sample: Sample, budget: int) -> Redundancy:
    """Measure a sample, and what some strategies pick of it at several budgets, one of them `budget` of its frames."""
    within, between = _nearest(sample)
    alike_below = ALIKE * _typical_distance(sample)
    everybody = np.arange(len(sample))
    budgets = sorted({max(2, round(share * len(sample))) for share in SHARES} | {budget})
    return Redundancy(
        within_sessions=_median(within),
        between_sessions=_median(between),
        alike_below=alike_below,
        distinct=count_distinct(sample.embedding[_shuffled(everybody)], alike_below),
        frames=len(sample),
        quantity=sample.quantity,
        budgets=tuple(_compare(sample, [b for b in budgets if b <= len(sample)], alike_below)),
    )


def count_distinct(points: F32, alike_below: float) -> int:
    """How many of N points (N, D) are left when one is kept that is nearer than so far to none that is kept already."""
    return int(_count_distinct(points, np.float32(alike_below**2)))


def _nearest(sample: Sample) -> tuple[F64, F64]:
    """Every frame's distance to the nearest other of its session, and of the other sessions; infinite without one."""
    within, between = np.full(len(sample), np.inf), np.full(len(sample), np.inf)
    for code in range(int(sample.sessions.max(initial=-1)) + 1):
        mine = sample.sessions == code
        points = sample.embedding[mine]
        if len(points) > 1:
            own = np.empty(len(points))
            mean_distances(points, 0, in_tiles(points), np.arange(len(points)), 1, own)
            within[mine] = own
        if not mine.all():
            between[mine] = np.sqrt(nearest_squared(points, sample.embedding[~mine]))
    return within, between


def _typical_distance(sample: Sample) -> float:
    """The median distance between two frames drawn by lot."""
    some = sample.embedding[_shuffled(np.arange(len(sample)))].astype(np.float64)
    return float(np.median(np.sqrt(((some - np.roll(some, 1, axis=0)) ** 2).sum(axis=1))))


def _median(distances: F64) -> float | None:
    known = distances[np.isfinite(distances)]
    return float(np.median(known)) if len(known) else None


def _shuffled(rows: Rows) -> Rows:
    """An order that has nothing to do with time, the same every time."""
    return np.random.default_rng(0).permutation(rows)


def _compare(sample: Sample, budgets: list[int], alike_below: float) -> list[AtBudget]:
    """Greedy picks at the largest budget begin with those at every smaller one."""
    pool = Pool(
        ensemble_id="",
        frame_id=sample.frame_id,
        session_id=sample.session_id,
        uri=sample.uri,
        scores={"score": np.maximum(sample.score, 0)},
        embedding=sample.embedding,
    )
    places = {frame_id: row for row, frame_id in enumerate(sample.frame_id.to_pylist())}
    found = []
    for strategy, objectives in _WAYS[sample.quantity].items():
        spec = SelectionSpec(budget=budgets[-1], objectives=objectives, constraints=())
        rows = np.array([places[pick.frame_id] for pick in select(pool, spec).picks], np.int64)
        for budget in budgets:
            distinct = count_distinct(sample.embedding[rows[:budget]], alike_below)
            found.append(AtBudget(strategy, budget, distinct, float(sample.score[rows[:budget]].mean())))
    return found


@compile_cached
def _count_distinct(points: F32, squared_below: np.float32) -> int:
    kept = np.empty(points.shape[0], np.int64)
    count = 0
    for i in range(points.shape[0]):
        alike = False
        for k in range(count):
            squared = np.float32(0)
            for d in range(points.shape[1]):
                difference = points[i, d] - points[kept[k], d]
                squared += difference * difference
            if squared < squared_below:
                alike = True
                break
        if not alike:
            kept[count] = i
            count += 1
    return count
