"""Pools for tests: small ones full of ties drawn by hypothesis, and one that is large enough to be worth threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Constraint,
    Counting,
    Diversity,
    Gap,
    Guard,
    Labelled,
    Measure,
    Objective,
    Quota,
    Random,
    RoundRobin,
    Score,
    SelectionSpec,
    Similarity,
    Target,
    Threshold,
    Typicality,
)
from fleetsift.selectors.pools.pool import Key, Pool

CAMERAS = (None, "front", "rear")
COUNTINGS: list[tuple[Counting, ...]] = [("balance",), (), ("balance", "caps", "gaps", "quotas")]


def encode(values: Sequence[str | None]) -> Key:
    """Values as codes."""
    distinct = tuple(dict.fromkeys(value for value in values if value is not None))
    codes = [-1 if value is None else distinct.index(value) for value in values]
    return Key(np.array(codes, np.int32), distinct)


def names(prefix: str, count: int) -> pa.Array:
    """Increasing names: f-000, f-001, ..."""
    return pa.array([f"{prefix}-{i:03}" for i in range(count)], pa.string())


@st.composite
def pools(draw: st.DrawFn, *, most: int = 14) -> Pool:
    """A pool with two scores, two keys (one with NULLs), two classes and moments; ties everywhere.

    At least one candidate, up to two labelled frames, and up to three that were picked earlier.
    """
    labelled, earlier = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    n = draw(st.integers(1, most)) + labelled + earlier
    mixed = draw(st.permutations(range(n)))
    few = st.sampled_from([0.0, 0.5, 1.0, 2.0])

    def column() -> np.ndarray:
        return np.array(draw(st.lists(few, min_size=n, max_size=n)), np.float64)

    def vectors(count: int, dimensions: int) -> np.ndarray:
        cells = draw(st.lists(st.integers(0, 3), min_size=count * dimensions, max_size=count * dimensions))
        return np.array(cells, np.float32).reshape(count, dimensions)

    dimensions = draw(st.integers(1, 3))
    sessions = draw(st.lists(st.sampled_from(["s-a", "s-b", "s-c", "s-d"]), min_size=n, max_size=n))
    return Pool(
        ensemble_id="drawn",
        frame_id=names("f", n),
        session_id=pa.array(sessions, pa.string()),
        uri=names("/u", n),
        scores={"first": column(), "second": column()},
        keys={
            "session_id": encode(sessions),
            "camera": encode(draw(st.lists(st.sampled_from(CAMERAS), min_size=n, max_size=n))),
        },
        captured_us=np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)), np.int64) * 500_000,
        class_scores={"road": column(), "car": column()},
        areas={"area": {"road": column(), "car": column()}},
        embedding=vectors(n, dimensions),
        labelled=np.array(sorted(mixed[:labelled]), np.int64),
        earlier=np.array(mixed[labelled : labelled + earlier], np.int64),
        rounds=tuple(f"f-{row:03}" for row in mixed[labelled : labelled + earlier]),
        given={name: vectors(draw(st.integers(1, 3)), dimensions) for name in ("similarity", "guard")},
    )


@st.composite
def specs(draw: st.DrawFn) -> SelectionSpec:
    """Any objectives, strengths, constraints and budget over such a pool."""
    strengths = st.sampled_from([0.0, 0.5, 1.0, 2.0])
    measures: list[Measure] = ["cosine", "distance"]
    targets: list[Target] = ["uniform", "pool", {"front": 3.0}]
    few = st.integers(1, 4)
    kinds: list[Callable[[float], Objective]] = [
        lambda strength: Score(expression="first", strength=strength),
        lambda strength: Score(expression="second", strength=strength),
        lambda strength: Random(strength=strength),
        lambda strength: Similarity(frames=("given",), measure=draw(st.sampled_from(measures)), strength=strength),
        lambda strength: Typicality(neighbours=draw(few), among=2 * draw(few), strength=strength),
        lambda strength: Diversity(strength=strength),
        lambda strength: Balance(key="camera", target=draw(st.sampled_from(targets)), strength=strength),
        lambda strength: Balance(key="session_id", strength=strength),
        lambda strength: AreaBalance(target=draw(st.sampled_from([*targets[:2], {"car": 1.0}])), strength=strength),
    ]
    wanted = draw(st.sets(st.integers(0, len(kinds) - 1), max_size=4))
    objectives = [kinds[i](draw(strengths)) for i in sorted(wanted)]
    constraints: list[Constraint] = []
    for key, held in (("session_id", ["s-a", "s-b"]), ("camera", ["front", "rear"])):
        if draw(st.booleans()):
            constraints.append(Cap(key=key, most=draw(st.integers(1, 4))))
        if draw(st.booleans()):
            constraints.append(Gap(key=key, least_s=draw(st.sampled_from([0.000001, 0.5, 0.7, 2.0]))))
        if draw(st.booleans()):
            value = draw(st.sampled_from([*held, "nothing has it"]))
            constraints.append(Quota(key=key, value=value, least=draw(few)))
    if draw(st.booleans()):
        bounds = st.sampled_from([(0.5, None), (None, 1.0), (0.5, 1.0)])
        least, most = draw(bounds)
        constraints.append(Threshold(expression="second", least=least, most=most))
    if draw(st.booleans()):
        constraints.append(Guard(frames=("test",), least=draw(st.sampled_from([0.5, 1.0, 1.5]))))
    return SelectionSpec(
        budget=draw(st.one_of(st.integers(1, 5), st.integers(1, 20))),
        seed=draw(st.integers(0, 2)),
        labelled=Labelled(counts_in=draw(st.sampled_from(COUNTINGS))),
        objectives=tuple(objectives),
        constraints=tuple(constraints),
    )


@st.composite
def round_robins(draw: st.DrawFn) -> SelectionSpec:
    """A class round-robin with any constraints."""
    spec = draw(specs())
    return SelectionSpec(
        budget=spec.budget, labelled=spec.labelled, constraints=spec.constraints, round_robin=RoundRobin()
    )


def large_pool(frames: int = 20_000, dimensions: int = 24) -> Pool:
    """Frames in sessions of fifty that look alike, many exactly alike."""
    rng = np.random.default_rng(7)
    sessions = np.arange(frames) // 50
    looks = rng.standard_normal((sessions.max() + 1, dimensions)).astype(np.float32)
    embedding = (looks[sessions] + rng.integers(0, 2, (frames, dimensions)) / 8).astype(np.float32)
    return Pool(
        ensemble_id="large",
        frame_id=pa.array([f"f-{i:06}" for i in range(frames)]),
        session_id=pa.array([f"s-{s}" for s in sessions]),
        uri=pa.array([f"/{i}" for i in range(frames)]),
        scores={"first": rng.random(frames).round(2)},
        captured_us=np.arange(frames) * 100_000,
        given={"similarity": embedding[:3]},
        keys={"session_id": Key(sessions.astype(np.int32), tuple(f"s-{s}" for s in range(sessions.max() + 1)))},
        embedding=embedding,
    )
