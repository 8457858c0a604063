"""The contract in plain Python: everything computed anew at every step, one frame after the other, nothing clever."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np

from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Constraint,
    Diversity,
    Gap,
    Guard,
    Objective,
    Quota,
    Random,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
)
from fleetsift.selectors.pools.pool import Pool


def added(values: Iterable[float]) -> float:
    """One after the other, rounding each time: from Python 3.12 on `sum` makes up for the rounding."""
    total = 0.0
    for value in values:
        total += value
    return total


def plain_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Euclidean."""
    return math.sqrt(plain_squared(a, b))


def plain_squared(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Euclidean distance, summed in float32 over the dimensions in their order."""
    total = np.float32(0)
    for x, y in zip(a, b, strict=True):
        total = np.float32(total + np.float32(np.float32(x - y) * np.float32(x - y)))
    return float(total)


def open_rows(pool: Pool, spec: SelectionSpec, picked: list[int]) -> list[int]:
    """Whom every constraint admits; of them, those that pay the most quotas."""
    rows = [row for row in candidates(pool) if row not in picked and not kept_out_by(pool, spec, row, picked)]
    owed = plain_owed(pool, spec, picked)
    paid = {row: sum(q.name in owed and has_value(pool, q, row) for q in quotas_of(spec)) for row in rows}
    return [row for row in rows if paid[row] == max(paid.values())]


def candidates(pool: Pool) -> list[int]:
    """Who is neither labelled nor picked earlier."""
    return [row for row in range(len(pool)) if row not in pool.labelled and row not in pool.earlier]


def own(pool: Pool) -> list[int]:
    """Who is not labelled."""
    return [row for row in range(len(pool)) if row not in pool.labelled]


def counted(pool: Pool, spec: SelectionSpec, what: str, picked: list[int]) -> list[int]:
    """Who counts as picked: what was picked in this round and earlier ones, and labelled frames where they are to."""
    labelled = pool.labelled.tolist() if what in spec.labelled.counts_in else []
    return [*labelled, *pool.earlier.tolist(), *picked]


def quotas_of(spec: SelectionSpec) -> list[Quota]:
    """Its quotas."""
    return [constraint for constraint in spec.constraints if isinstance(constraint, Quota)]


def has_value(pool: Pool, quota: Quota, row: int) -> bool:
    """Whether a row counts for a quota."""
    key = pool.keys[quota.key]
    return bool(key.codes[row] >= 0 and key.values[key.codes[row]] == quota.value)


def plain_owed(pool: Pool, spec: SelectionSpec, picked: list[int]) -> dict[str, int]:
    """What each quota lacks, where it lacks any."""
    lacks = {
        q.name: q.least - sum(has_value(pool, q, row) for row in counted(pool, spec, "quotas", picked))
        for q in quotas_of(spec)
    }
    return {name: count for name, count in lacks.items() if count > 0}


def kept_out_by(pool: Pool, spec: SelectionSpec, row: int, picked: list[int]) -> list[str]:
    """The names of the constraints that keep a row out."""
    return [constraint.name for constraint in spec.constraints if keeps_out(pool, spec, constraint, row, picked)]


def keeps_out(pool: Pool, spec: SelectionSpec, constraint: Constraint, row: int, picked: list[int]) -> bool:
    """Whether one constraint keeps a row out."""
    match constraint:
        case Cap():
            return len(alike(pool, constraint.key, row, counted(pool, spec, "caps", picked))) >= constraint.most
        case Gap():
            apart_s = plain_apart_s(pool, constraint, row, counted(pool, spec, "gaps", picked))
            return apart_s is not None and apart_s < constraint.least_s
        case Threshold():
            value = pool.scores[constraint.expression][row]
            least, most = constraint.least, constraint.most
            return bool((least is not None and value < least) or (most is not None and value > most))
        case Guard():
            point = pool.vectors()[row]
            return min(plain_distance(point, given) for given in pool.given["guard"]) < constraint.least
        case Quota():
            return False


def plain_margins(pool: Pool, spec: SelectionSpec, row: int) -> dict[str, float]:
    """How far a row is from where each threshold or guard would keep it out."""
    margins: dict[str, float] = {}
    for constraint in spec.constraints:
        if isinstance(constraint, Guard):
            point = pool.vectors()[row]
            distance = min(plain_distance(point, given) for given in pool.given["guard"])
            margins[constraint.name] = distance - constraint.least
        elif isinstance(constraint, Threshold):
            value = float(pool.scores[constraint.expression][row])
            bounds = [value - (constraint.least or 0)] if constraint.least is not None else []
            bounds += [constraint.most - value] if constraint.most is not None else []
            margins[constraint.name] = min(bounds)
    return margins


def alike(pool: Pool, key: str, row: int, picked: list[int]) -> list[int]:
    """The picks that share a row's value of a key; a NULL is shared with nobody."""
    codes = pool.keys[key].codes
    return [p for p in picked if codes[row] >= 0 and codes[p] == codes[row]]


def plain_apart_s(pool: Pool, gap: Gap, row: int, picked: list[int]) -> float | None:
    """Seconds to the nearest pick that shares a row's value."""
    assert pool.captured_us is not None
    apart_us = [abs(int(pool.captured_us[row] - pool.captured_us[p])) for p in alike(pool, gap.key, row, picked)]
    return min(apart_us) / 1e6 if apart_us else None


def plain_factors(pool: Pool, spec: SelectionSpec, row: int, picked: list[int]) -> dict[str, float]:
    """objective ** strength: what stays, then diversity, then balances."""
    ordered = sorted(spec.objectives, key=lambda o: 2 * isinstance(o, Balance | AreaBalance) + isinstance(o, Diversity))
    return {o.name: math.pow(plain_factor(pool, spec, o, row, picked), o.strength) for o in ordered}


def plain_factor(pool: Pool, spec: SelectionSpec, objective: Objective, row: int, picked: list[int]) -> float:
    """One objective of a row, after some picks."""
    match objective:
        case Score():
            return float(pool.scores[objective.expression][row])
        case Random():
            return plain_draw(pool, spec.seed, row)
        case Similarity():
            return max(plain_similarity(pool, objective, row, given) for given in pool.given["similarity"])
        case Typicality():
            means = [plain_mean_distance(pool, spec.seed, objective, other) for other in range(len(pool))]
            return 1 / (means[row] or min((mean for mean in means if mean), default=1.0))
        case Diversity():
            _, distance = plain_nearest(pool, row, picked)
            return 1.0 if distance is None else distance
        case Balance() | AreaBalance():
            return plain_share_factor(pool, objective, row, counted(pool, spec, "balance", picked))


def plain_share_factor(pool: Pool, objective: Balance | AreaBalance, row: int, picked: list[int]) -> float:
    """Wanted share over what the picks hold."""
    if isinstance(objective, AreaBalance):
        return plain_area_factor(pool, objective, row, picked)
    share = plain_shares(pool, objective).get(pool.keys[objective.key].codes[row], 0.0)
    return share / (2 * len(alike(pool, objective.key, row, picked)) + 1)


def plain_area_factor(pool: Pool, balance: AreaBalance, row: int, picked: list[int]) -> float:
    """Area times wanted share over what the picks hold, summed over the classes."""
    areas = pool.areas[balance.areas]
    held_by_pool = {name: float(column[own(pool)].sum()) for name, column in areas.items()}
    weights = {name: held if balance.target == "pool" else float(held > 0) for name, held in held_by_pool.items()}
    if isinstance(balance.target, dict):
        weights = {name: balance.target.get(name, 0.0) for name in areas}
    total = 0.0
    for name, column in areas.items():
        held = added(float(column[p]) for p in picked)
        total += float(column[row]) * (weights[name] / (added(weights.values()) or 1.0) / (2 * held + 1))
    return total


def plain_draw(pool: Pool, seed: int, row: int) -> float:
    """A number in (0, 1] from a seed and a name."""
    name = pool.frame_id[row].as_py().encode()
    bits = int.from_bytes(hashlib.blake2b(name, digest_size=8, key=seed.to_bytes(8, "little")).digest(), "little")
    return ((bits >> 11) + 1) / 2**53


def plain_similarity(pool: Pool, similarity: Similarity, row: int, given: np.ndarray) -> float:
    """To one given vector."""
    point = pool.vectors()[row]
    if similarity.measure == "distance":
        return 1 / (1 + plain_distance(point, given))
    zero = np.zeros_like(point)
    lengths = plain_distance(point, zero), plain_distance(given, zero)
    if not all(lengths):
        return 0.5 if not lengths[0] or not plain_directed(pool) else 0.0
    directions = point / np.float32(lengths[0]), given / np.float32(lengths[1])
    return min(max(1 - plain_squared(*directions) / 4, 0.0), 1.0)


def plain_directed(pool: Pool) -> bool:
    """Whether any given vector has a direction."""
    return any(given.any() for given in pool.given["similarity"])


def plain_mean_distance(pool: Pool, seed: int, typicality: Typicality, row: int) -> float:
    """To the nearest neighbours among the frames that are drawn first."""
    among = sorted(own(pool), key=lambda other: plain_draw(pool, seed, other))[: typicality.among]
    distances = sorted(plain_distance(pool.vectors()[row], pool.vectors()[other]) for other in among if other != row)
    nearest = distances[: typicality.neighbours]
    return added(nearest) / max(len(nearest), 1)


def plain_shares(pool: Pool, balance: Balance) -> dict[int, float]:
    """The wanted share of every value, by its code."""
    key = pool.keys[balance.key]
    if isinstance(balance.target, dict):
        weights = {code: balance.target.get(value, 0.0) for code, value in enumerate(key.values)}
    else:
        uniform = balance.target == "uniform"
        held_by_pool = {code: float((key.codes[own(pool)] == code).sum()) for code in range(len(key.values))}
        weights = {code: float(held > 0) if uniform else held for code, held in held_by_pool.items()}
    return {code: weight / (added(weights.values()) or 1.0) for code, weight in weights.items()}


def plain_nearest(pool: Pool, row: int, picked: list[int]) -> tuple[str | None, float | None]:
    """The nearest labelled frame, earlier pick or pick, of equals the first, and its distance."""
    assert pool.embedding is not None
    centred = [*pool.labelled.tolist(), *pool.earlier.tolist(), *picked]
    centres = [(pool.frame_id[p].as_py(), pool.embedding[p]) for p in centred]
    if not centres:
        return None, None
    distances = [plain_distance(pool.embedding[row], vector) for _, vector in centres]
    nearest = distances.index(min(distances))
    return centres[nearest][0], distances[nearest]


def plain_greedy(pool: Pool, spec: SelectionSpec) -> list[str]:
    """The frame_ids of the picks."""
    picked: list[int] = []
    while len(picked) < spec.budget:
        rows = open_rows(pool, spec, picked)
        if not rows:
            break
        worth = {row: math.prod(plain_factors(pool, spec, row, picked).values()) for row in rows}
        picked.append(min(rows, key=lambda row: (-worth[row], pool.frame_id[row].as_py())))
    return [pool.frame_id[row].as_py() for row in picked]


def plain_round_robin(pool: Pool, spec: SelectionSpec) -> list[tuple[str, str]]:
    """Class and frame_id of every turn."""
    picked: list[int] = []
    turns: list[tuple[str, str]] = []
    classes = list(pool.class_scores)
    while len(picked) < spec.budget:
        turn = classes[(len(pool.rounds) + len(picked)) % len(classes)]
        rows = open_rows(pool, spec, picked)
        if not rows:
            break
        row = min(rows, key=lambda row: (-pool.class_scores[turn][row], pool.frame_id[row].as_py()))
        picked.append(row)
        turns.append((turn, pool.frame_id[row].as_py()))
    return turns
