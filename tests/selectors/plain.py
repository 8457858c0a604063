"""The contract in plain Python: everything computed anew at every step, one frame after the other, nothing clever."""

from __future__ import annotations

import math

import numpy as np

from fleetsift.schemas.selection import Cap, Constraint, Diversity, Gap, Score, SelectionSpec
from fleetsift.selectors.pool import Pool


def plain_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Euclidean, squares summed in float32 over the dimensions in their order."""
    total = np.float32(0)
    for x, y in zip(a, b, strict=True):
        total = np.float32(total + np.float32(np.float32(x - y) * np.float32(x - y)))
    return math.sqrt(float(total))


def has_room(pool: Pool, spec: SelectionSpec, row: int, picked: list[int]) -> bool:
    """Whether every constraint admits a row."""
    return row not in picked and not kept_out_by(pool, spec, row, picked)


def kept_out_by(pool: Pool, spec: SelectionSpec, row: int, picked: list[int]) -> list[str]:
    """The names of the constraints that keep a row out."""
    return [constraint.name for constraint in spec.constraints if keeps_out(pool, constraint, row, picked)]


def keeps_out(pool: Pool, constraint: Constraint, row: int, picked: list[int]) -> bool:
    """Whether one constraint keeps a row out."""
    match constraint:
        case Cap():
            return len(alike(pool, constraint.key, row, picked)) >= constraint.most
        case Gap():
            apart_s = plain_apart_s(pool, constraint, row, picked)
            return apart_s is not None and apart_s < constraint.least_s


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
    """objective ** strength, scores before diversity."""
    factors = {
        o.expression: math.pow(pool.scores[o.expression][row], o.strength)
        for o in spec.objectives
        if isinstance(o, Score)
    }
    for objective in spec.objectives:
        if isinstance(objective, Diversity):
            _, distance = plain_nearest(pool, row, picked)
            factors["diversity"] = 1.0 if distance is None else math.pow(distance, objective.strength)
    return factors


def plain_nearest(pool: Pool, row: int, picked: list[int]) -> tuple[str | None, float | None]:
    """The nearest labelled frame or pick, of equals the first, and its distance."""
    assert pool.embedding is not None
    centres: list[tuple[str, np.ndarray]] = []
    if pool.labelled_embedding is not None:
        centres += zip(pool.labelled_id.to_pylist(), pool.labelled_embedding, strict=True)
    centres += [(pool.frame_id[p].as_py(), pool.embedding[p]) for p in picked]
    if not centres:
        return None, None
    distances = [plain_distance(pool.embedding[row], vector) for _, vector in centres]
    nearest = distances.index(min(distances))
    return centres[nearest][0], distances[nearest]


def plain_greedy(pool: Pool, spec: SelectionSpec) -> list[str]:
    """The frame_ids of the picks."""
    picked: list[int] = []
    while len(picked) < spec.budget:
        open_rows = [row for row in range(len(pool)) if has_room(pool, spec, row, picked)]
        if not open_rows:
            break
        worth = {row: math.prod(plain_factors(pool, spec, row, picked).values()) for row in open_rows}
        picked.append(min(open_rows, key=lambda row: (-worth[row], pool.frame_id[row].as_py())))
    return [pool.frame_id[row].as_py() for row in picked]


def plain_round_robin(pool: Pool, spec: SelectionSpec) -> list[tuple[str, str]]:
    """Class and frame_id of every turn."""
    picked: list[int] = []
    turns: list[tuple[str, str]] = []
    classes = list(pool.class_scores)
    while len(picked) < spec.budget:
        turn = classes[len(picked) % len(classes)]
        open_rows = [row for row in range(len(pool)) if has_room(pool, spec, row, picked)]
        if not open_rows:
            break
        row = min(open_rows, key=lambda row: (-pool.class_scores[turn][row], pool.frame_id[row].as_py()))
        picked.append(row)
        turns.append((turn, pool.frame_id[row].as_py()))
    return turns
