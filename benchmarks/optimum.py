"""Greedy against the best batch there is: on pools so small that every batch can be tried.

The same seeds give the same table, which stands in docs/selection.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleetsift.schemas.selection import Balance, Cap, Diversity, Gap, Score, SelectionSpec
from fleetsift.selectors.pools.pool import Key, Pool
from fleetsift.selectors.select import select

Batches = NDArray[np.int64]  # (B, K) rows of the pool, increasing
Values = NDArray[np.float64]  # (B,)
FRAMES, PICKS, POOLS = 13, 4, 200
SESSIONS, CAMERAS = 4, 3
CAPS = (Cap(key="session_id", most=1), Cap(key="camera", most=2))
GAP = Gap(key="camera", least_s=2.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared, what makes a batch good, and what is known of greedy's share of the optimum."""

    what: str
    known: str
    spec: SelectionSpec
    value: Callable[[Pool, Batches], Values]  # higher is better


def total_score(pool: Pool, batches: Batches) -> Values:
    """The sum of the scores."""
    values: Values = pool.scores["score"][batches].sum(axis=1)
    return values


def size(pool: Pool, batches: Batches) -> Values:
    """How many are picked, of a budget that some batch fills."""
    del pool
    return np.full(len(batches), batches.shape[1], np.float64)


def dispersion(pool: Pool, batches: Batches) -> Values:
    """The least distance between any two picks."""
    apart = _distances(pool)
    pairs = np.array(list(combinations(range(batches.shape[1]), 2)))
    values: Values = apart[batches[:, pairs[:, 0]], batches[:, pairs[:, 1]]].min(axis=1)
    return values


def cover(pool: Pool, batches: Batches) -> Values:
    """1 / the largest distance of any frame to its nearest pick: k-center."""
    values: Values = 1 / _distances(pool)[batches].min(axis=1).max(axis=1)
    return values


def evenness(pool: Pool, batches: Batches) -> Values:
    """1 / (1 + the sum of the squared deviations from equal shares of every session)."""
    codes = pool.keys["session_id"].codes[batches]
    present = np.unique(pool.keys["session_id"].codes)
    counts = (codes[:, :, None] == present).sum(axis=1)
    values: Values = 1 / (1 + ((counts - batches.shape[1] / len(present)) ** 2).sum(axis=1))
    return values


def _spec(*objectives: Score | Diversity | Balance, constraints: Sequence[Cap | Gap] = ()) -> SelectionSpec:
    return SelectionSpec(budget=PICKS, objectives=objectives, constraints=tuple(constraints))


_SCORE = Score(expression="score")
COMPARISONS = (
    Comparison("score, one cap: sum of scores", "1 (matroid)", _spec(_SCORE, constraints=CAPS[:1]), total_score),
    Comparison("score, two caps: sum of scores", "1/2", _spec(_SCORE, constraints=CAPS), total_score),
    Comparison("score, two caps: picks", "1/2", _spec(_SCORE, constraints=CAPS), size),
    Comparison("score, gap: sum of scores", "1/2", _spec(_SCORE, constraints=(GAP,)), total_score),
    Comparison("score, two caps and gap: picks", "1/4", _spec(_SCORE, constraints=(*CAPS, GAP)), size),
    Comparison("diversity: least distance between picks", "1/2", _spec(Diversity()), dispersion),
    Comparison("diversity: 1 / largest distance to a pick", "1/2", _spec(Diversity()), cover),
    Comparison("diversity, one cap: 1 / largest distance", "none", _spec(Diversity(), constraints=CAPS[:1]), cover),
    Comparison("balance: evenness of sessions", "1 (divisor method)", _spec(Balance(key="session_id")), evenness),
)


def share_of_optimum(comparison: Comparison, pools: int = POOLS) -> Values:
    """Greedy's value over the best batch's, of that many pools which have a batch that fills the budget."""
    shares: list[float] = []
    seed = 0
    while len(shares) < pools:
        pool, seed = draw_small(seed), seed + 1
        feasible = batches_of(pool, comparison.spec)
        picks = [int(pick.frame_id[2:]) for pick in select(pool, comparison.spec).picks]
        if len(feasible):  # a greedy that fills less of the budget is worth what it has
            reached = comparison.value(pool, np.array([sorted(picks)]))[0]
            shares.append(reached / comparison.value(pool, feasible).max())
    return np.array(shares)


def draw_small(seed: int) -> Pool:
    """A pool small enough."""
    rng = np.random.default_rng(seed)
    sessions = rng.integers(0, SESSIONS, FRAMES, np.int32)
    return Pool(
        ensemble_id="small",
        frame_id=pa.array([f"f-{i:02}" for i in range(FRAMES)]),
        session_id=pa.array([f"s-{s}" for s in sessions]),
        uri=pa.array([""] * FRAMES),
        scores={"score": rng.random(FRAMES)},
        keys={
            "session_id": Key(sessions, tuple(f"s-{s}" for s in range(SESSIONS))),
            "camera": Key(rng.integers(0, CAMERAS, FRAMES, np.int32), tuple(f"c-{c}" for c in range(CAMERAS))),
        },
        captured_us=rng.integers(0, 20_000_000, FRAMES),
        embedding=rng.standard_normal((FRAMES, 2)).astype(np.float32),
    )


def batches_of(pool: Pool, spec: SelectionSpec) -> Batches:
    """Every batch of the budget's size that the constraints admit."""
    batches = np.array(list(combinations(range(len(pool)), spec.budget)))
    admitted = np.ones(len(batches), np.bool_)
    for constraint in spec.constraints:
        assert isinstance(constraint, Cap | Gap)
        codes = pool.keys[constraint.key].codes[batches]
        if isinstance(constraint, Cap):
            for code in np.unique(codes):
                admitted &= (codes == code).sum(axis=1) <= constraint.most
        else:
            moments = pool.moments()[batches]
            for i, j in combinations(range(spec.budget), 2):
                near = np.abs(moments[:, i] - moments[:, j]) < constraint.least_s * 1e6
                admitted &= ~(near & (codes[:, i] == codes[:, j]))
    return batches[admitted]


def _distances(pool: Pool) -> Values:
    points = pool.vectors().astype(np.float64)
    apart: Values = np.linalg.norm(points[:, None] - points, axis=2)
    return apart


def optimum_table(pools: int = POOLS) -> str:
    """Markdown: how near greedy comes, on average and at worst, and how often it is the best."""
    lines = [
        "| what | mean share of the optimum | worst | as good as the best | guaranteed |",
        "|---|---|---|---|---|",
    ]
    for comparison in COMPARISONS:
        shares = share_of_optimum(comparison, pools)
        best = (shares > 1 - 1e-9).mean()
        figures = f"{shares.mean():.3f} | {shares.min():.3f} | {best:.0%} | {comparison.known}"
        lines.append(f"| {comparison.what} | {figures} |")
    return "\n".join(lines)


def print_optimum() -> None:
    """The table of docs/selection.md."""
    print(f"{POOLS} pools of {FRAMES} frames, {PICKS} picks, every batch tried\n\n{optimum_table()}")
