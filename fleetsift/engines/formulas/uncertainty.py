"""The formulas in float64 NumPy, as SCORES.md has them: the truth that every engine is compared with.

Axes: n frames, m members, c classes, h rows, w columns; all logarithms are natural, so entropies are in nats.
A function on one frame takes log-probabilities (M, C, ...) and gives one value a position (...).
`independent` has the same for classes of which each is a question of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.formulas import independent
from fleetsift.engines.rows import TIE, FrameRow, class_quantities_of
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import REGION_QUANTITIES, Task, has_independent_classes, quantities_of
from fleetsift.schemas.status import Problem, Status

F64 = NDArray[np.float64]

BLOCK = 1 << 20  # logits worked on at once: of float64 scratch some hundred MB


def log_softmax(logits_mc: NDArray[np.floating]) -> F64:
    """Log-probabilities of logits (M, C, ...) over the classes, without overflow: shifted by the largest first."""
    shifted = logits_mc.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    log_probs_mc: F64 = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probs_mc


def mean_probability(log_probs_mc: F64) -> F64:
    """P = mean over m of p, (C, ...)."""
    p: F64 = np.exp(log_probs_mc).mean(axis=0)
    return p


def class_entropy(log_probs_mc: F64) -> F64:
    """-Pc log Pc, (C, ...) nats; sums over c to the predictive entropy."""
    p = mean_probability(log_probs_mc)
    log_p: F64 = np.log(p, where=p > 0, out=np.zeros_like(p))  # 0 log 0 = 0
    return -p * log_p


def predictive_entropy(log_probs_mc: F64) -> F64:
    """H = -sum over c of Pc log Pc, in [0, ln C] nats."""
    h: F64 = class_entropy(log_probs_mc).sum(axis=0)
    return h


def expected_entropy(log_probs_mc: F64) -> F64:
    """E = mean over m of -sum over c of p log p, in [0, ln C] nats."""
    e: F64 = -(np.exp(log_probs_mc) * log_probs_mc).sum(axis=1).mean(axis=0)
    return e


def mutual_information(log_probs_mc: F64) -> F64:
    """H - E, in [0, ln min(C, M)] nats (BALD; Houlsby et al. 2011)."""
    return predictive_entropy(log_probs_mc) - expected_entropy(log_probs_mc)


def class_information(log_probs_mc: F64) -> F64:
    """-Pc log Pc + mean over m of p log p, (C, ...) nats; sums over c to the mutual information."""
    mi: F64 = class_entropy(log_probs_mc) + (np.exp(log_probs_mc) * log_probs_mc).mean(axis=0)
    return mi


def variation_ratio(log_probs_mc: F64) -> F64:
    """1 - (most votes) / M; a member votes for its first largest class."""
    votes_m = log_probs_mc.argmax(axis=1)
    votes_c = np.stack([(votes_m == c).sum(axis=0) for c in range(log_probs_mc.shape[1])])
    ratio: F64 = 1 - votes_c.max(axis=0) / len(log_probs_mc)
    return ratio


def least_confidence(log_probs_mc: F64) -> F64:
    """1 - max over c of Pc."""
    uncertainty: F64 = 1 - mean_probability(log_probs_mc).max(axis=0)
    return uncertainty


def margin(log_probs_mc: F64) -> F64:
    """1 - (P1 - P2), the two largest of Pc."""
    p = np.sort(mean_probability(log_probs_mc), axis=0)
    uncertainty: F64 = 1 - (p[-1] - p[-2])
    return uncertainty


def most_probable(log_probs_mc: F64) -> NDArray[np.intp]:
    """The class with the largest Pc; of classes whose P are equal but for rounding (`TIE`) the first."""
    p = mean_probability(log_probs_mc)
    best, winner = p[0], np.zeros(p.shape[1:], np.intp)
    for c in range(1, len(p)):
        wins = p[c] > best + TIE
        best, winner = np.where(wins, p[c], best), np.where(wins, c, winner)
    return winner


QUANTITY_OF = {
    "entropy": predictive_entropy,
    "expected_entropy": expected_entropy,
    "mutual_information": mutual_information,
    "variation_ratio": variation_ratio,
    "least_confidence": least_confidence,
    "margin": margin,
}


def top_mean(values: F64, share: float) -> float:
    """Mean over the ceil(share * positions) highest positions: what is small in the frame survives in it."""
    count = math.ceil(share * values.size)
    return float(np.sort(values, axis=None)[-count:].mean())


def region_means(values_hw: F64, regions: RegionSpec) -> F64:
    """Means over the cells of a grid no finer than the map, (rows * columns,), rows first."""
    height, width = values_hw.shape
    rows, columns = regions.rows, regions.columns
    return np.array(
        [
            values_hw[
                r * height // rows : (r + 1) * height // rows, q * width // columns : (q + 1) * width // columns
            ].mean()
            for r in range(rows)
            for q in range(columns)
        ]
    )


def softmax_maps(logits_mchw: NDArray[np.floating]) -> tuple[dict[str, F64], dict[str, F64]]:
    """Every quantity (h, w), and what each class contributes to it (C, h, w), by name."""
    log_probs = log_softmax(logits_mchw)
    probability = mean_probability(log_probs)
    return {name: formula(log_probs) for name, formula in QUANTITY_OF.items()}, {
        "entropy": class_entropy(log_probs),
        "mutual_information": class_information(log_probs),
        "area": probability,
        "argmax": (most_probable(log_probs) == np.arange(len(probability))[:, None, None]).astype(np.float64),
    }


def independent_maps(logits_mchw: NDArray[np.floating]) -> tuple[dict[str, F64], dict[str, F64]]:
    """Every quantity (h, w), and what each class contributes to it (C, h, w), by name."""
    return {name: formula(logits_mchw) for name, formula in independent.QUANTITY_OF.items()}, {
        "entropy": independent.class_entropy(logits_mchw),
        "mutual_information": independent.class_information(logits_mchw),
        "area": independent.mean_probability(logits_mchw),
    }


def frame_maps(
    logits_mchw: NDArray[np.floating], task: Task, block: int = BLOCK
) -> tuple[dict[str, F64], dict[str, F64]]:
    """`softmax_maps` or `independent_maps` of a whole frame, some rows at a time: scratch does not grow with it."""
    maps_of = independent_maps if has_independent_classes(task) else softmax_maps
    blocks = [maps_of(logits_mchw[:, :, rows]) for rows in _row_blocks(logits_mchw, block)]
    maps, class_maps = (
        {name: np.concatenate([block[which][name] for block in blocks], axis=-2) for name in blocks[0][which]}
        for which in (0, 1)
    )
    return maps, class_maps


def _row_blocks(logits_mchw: NDArray[np.floating], block: int) -> Iterator[slice]:
    members, classes, height, width = logits_mchw.shape
    rows = max(1, block // (members * classes * width))
    return (slice(start, start + rows) for start in range(0, height, rows))


def score_frame(
    logits_mchw: NDArray[np.floating],
    regions: RegionSpec | None,
    top_share: float,
    embedding: NDArray[np.floating] | None = None,
    task: Task = "semantic_segmentation",
) -> FrameRow | Problem:
    """Score one frame by the formulas above, from its members' logits (M, C, h, w).

    A NaN or infinite logit makes it a problem: never a number that a ranking could use.
    """
    for m, logits_chw in enumerate(logits_mchw):
        if not np.isfinite(logits_chw).all():
            return Problem(Status.NON_FINITE, f"members[{m}]: expected finite logits, got NaN or infinity")
    maps, class_maps = frame_maps(logits_mchw, task)
    return FrameRow(
        statistics=np.array(
            [[maps[q].mean(), maps[q].max(), top_mean(maps[q], top_share)] for q in quantities_of(task)]
        ),
        by_class=np.array([class_maps[q].mean(axis=(1, 2)) for q in class_quantities_of(task)]),
        regions=np.array([region_means(maps[q], regions) if regions else np.zeros(0) for q in REGION_QUANTITIES]),
        embedding=np.zeros(0) if embedding is None else embedding,
        region_argmax=np.array([region_means(shown, regions) for shown in class_maps["argmax"]]).T
        if regions and "argmax" in class_maps
        else None,
    )
