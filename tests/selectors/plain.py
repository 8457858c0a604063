"""The contract in plain Python: everything computed anew at every step, one frame after the other, nothing clever."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from fleetsift.schemas.selection import Diversity, Score, SelectionSpec
from fleetsift.selectors.pool import Pool


def plain_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Euclidean, squares summed in float32 over the dimensions in their order."""
    total = np.float32(0)
    for x, y in zip(a, b, strict=True):
        total = np.float32(total + np.float32(np.float32(x - y) * np.float32(x - y)))
    return math.sqrt(float(total))


def has_room(pool: Pool, spec: SelectionSpec, row: int, picked: list[int]) -> bool:
    """Whether every cap admits one more frame of this row's values."""
    return row not in picked and not full_caps(pool, spec, row, picked)


def full_caps(pool: Pool, spec: SelectionSpec, row: int, picked: list[int]) -> list[str]:
    """The names of the caps that have no room left for a row."""
    full = []
    for cap in spec.constraints:
        codes = pool.keys[cap.key].codes
        taken = Counter(codes[picked].tolist())
        if codes[row] >= 0 and taken[codes[row]] >= cap.most:
            full.append(cap.name)
    return full


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
