"""The formulas for independent classes in float64 NumPy: each class of each position is a question of its own.

What `uncertainty` is where one of the classes is the answer. Axes as there: a function on one frame takes logits
(M, C, ...) and gives one value a position (...), the sum over the classes: the entropy of independent labels together.
The per-class values are those of NVIDIA's detection grid (SCORES.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def probabilities(logits_mc: NDArray[np.floating]) -> tuple[F64, F64]:
    """p and 1 - p, (M, C, ...) each, without loss where one of them is small."""
    logits = logits_mc.astype(np.float64)
    e = np.exp(-np.abs(logits))
    likely, unlikely = 1 / (1 + e), e / (1 + e)
    return np.where(logits >= 0, likely, unlikely), np.where(logits >= 0, unlikely, likely)


def binary_entropy(p: F64, q: F64) -> F64:
    """h = -p log p - q log q for q = 1 - p, in [0, ln 2] nats; 0 log 0 = 0."""
    log_p = np.log(p, where=p > 0, out=np.zeros_like(p))
    log_q = np.log(q, where=q > 0, out=np.zeros_like(q))
    return -p * log_p - q * log_q


def mean_probability(logits_mc: NDArray[np.floating]) -> F64:
    """P = mean over m of p, (C, ...)."""
    p, _ = probabilities(logits_mc)
    mean_p: F64 = p.mean(axis=0)
    return mean_p


def class_entropy(logits_mc: NDArray[np.floating]) -> F64:
    """h(Pc), (C, ...), in [0, ln 2] nats."""
    p, q = probabilities(logits_mc)
    return binary_entropy(p.mean(axis=0), q.mean(axis=0))


def class_information(logits_mc: NDArray[np.floating]) -> F64:
    """h(Pc) - mean over m of h(p), (C, ...), in [0, ln 2] nats; sums over c to the mutual information."""
    mi: F64 = class_entropy(logits_mc) - binary_entropy(*probabilities(logits_mc)).mean(axis=0)
    return mi


def predictive_entropy(logits_mc: NDArray[np.floating]) -> F64:
    """H = sum over c of h(Pc), in [0, C ln 2] nats."""
    h: F64 = class_entropy(logits_mc).sum(axis=0)
    return h


def expected_entropy(logits_mc: NDArray[np.floating]) -> F64:
    """E = mean over m of the sum over c of h(p), in [0, C ln 2] nats."""
    e: F64 = binary_entropy(*probabilities(logits_mc)).sum(axis=1).mean(axis=0)
    return e


def mutual_information(logits_mc: NDArray[np.floating]) -> F64:
    """H - E, in [0, C ln 2] nats."""
    return predictive_entropy(logits_mc) - expected_entropy(logits_mc)


def least_confidence(logits_mc: NDArray[np.floating]) -> F64:
    """Sum over c of 1 - max(Pc, 1 - Pc), in [0, C / 2]."""
    p, q = probabilities(logits_mc)
    uncertainty: F64 = np.minimum(p.mean(axis=0), q.mean(axis=0)).sum(axis=0)
    return uncertainty


QUANTITY_OF = {
    "entropy": predictive_entropy,
    "expected_entropy": expected_entropy,
    "mutual_information": mutual_information,
    "least_confidence": least_confidence,
}
