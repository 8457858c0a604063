"""From logits to maps as nodes of a graph: `uncertainty` and `independent`, written out over the class axis.

With z = logit - largest, e = exp z and S = sum of e, a softmax's p = e / S and p log p = p (z - log S), which sums over
the classes to sum(e z) / S - log S. No `Softmax`: runtimes transpose around one whose axis is not the last. Answers are
added to running sums one after the other: in the order the nodes are written, what is held at once does not grow with
their number. A runtime may choose another order, and ONNX Runtime does.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetsift.engines.graphs.arithmetic import Value, where
from fleetsift.engines.rows import TIE
from fleetsift.schemas.scores import Task, has_independent_classes

CLASSES, ROWS, COLUMNS = 1, 2, 3  # axes of (N, C, h, w)

_SMALLEST = 1e-36  # stands for a probability of zero: p log p is zero to any precision
_ROUNDING = -1e-6  # a mutual information between this and zero is zero


@dataclass(frozen=True, slots=True)
class GraphMaps:
    """What is said about every position."""

    quantities: dict[str, Value]  # (N, 1, h, w) each, in the order of `quantities_of(task)`
    class_quantities: dict[str, Value]  # (N, C, h, w) each, in the order of `class_quantities_of(task)`
    most_probable: Value  # (N, 1, h, w) class, as float32
    member_entropies: Sequence[Value]  # (N, 1, 1, 1) means over the positions; NaN where logits are not finite
    equal: Sequence[Value]  # (N, 1, 1, 1) means over positions and members, in the order of EQUAL_DISTANCES


def write_maps(task: Task, logits: Sequence[Value], classes: int, *, compares_views: bool = False) -> GraphMaps:
    """Reduce the logits (N, C, h, w) of each answer.

    compares_views: every other answer is the un-flipped view of the one before it, and they are compared.
    """
    numbers = logits[0].sheet.constant(np.arange(classes).reshape(1, -1, 1, 1))
    if has_independent_classes(task):
        return _independent_maps(numbers, logits)
    return _softmax_maps(numbers, logits, compares_views=compares_views)


def mean_over_positions(values: Value) -> Value:
    """Means (N, K, 1, 1) along rows first: float32 sums stay short."""
    return values.mean(COLUMNS).mean(ROWS)


@dataclass(frozen=True, slots=True)
class _Softmax:
    """What one answer says about the positions, or several together."""

    p: Value  # (N, C, h, w), summed over the answers
    p_log_p: Value  # (N, C, h, w), summed over the answers
    votes: Value  # (N, C, h, w) how many answers have this class as their first largest
    entropies: tuple[Value, ...]  # a mean over the positions each, (N, 1, 1, 1)

    def __add__(self, other: _Softmax) -> _Softmax:
        return _Softmax(
            self.p + other.p, self.p_log_p + other.p_log_p, self.votes + other.votes, self.entropies + other.entropies
        )

    @property
    def class_entropy(self) -> Value:
        """-P log P of the mean P."""
        p = self.p / float(len(self.entropies))
        return -(p * p.clip(_SMALLEST, 1.0).log())


def _softmax_answer(numbers: Value, logits_nchw: Value) -> _Softmax:
    z = logits_nchw - logits_nchw.largest(CLASSES)
    e = z.exp()
    s = e.sum(CLASSES)
    p = e / s
    p_log_p = p * (z - s.log())
    entropy = mean_over_positions(-p_log_p.sum(CLASSES))
    vote = numbers.equals(first_class(numbers, z >= 0.0)).as_float()
    return _Softmax(p, p_log_p, vote, (entropy,))


def _softmax_maps(numbers: Value, logits: Sequence[Value], *, compares_views: bool) -> GraphMaps:
    together, distances = _softmax_answer(numbers, logits[0]), []
    before = together
    for a, logits_nchw in enumerate(logits[1:], 1):
        answer = _softmax_answer(numbers, logits_nchw)
        if compares_views and a % 2:
            distances.append(_distances(before + answer))
        together, before = together + answer, answer
    members = float(len(logits))
    p, p_log_p = together.p / members, together.p_log_p / members
    entropy = together.class_entropy
    information = entropy + p_log_p
    first = p.largest(CLASSES)
    is_first = numbers.equals(first_class(numbers, p >= first))
    second = where(is_first, 0.0, p).largest(CLASSES)
    most_probable = first_class(numbers, p >= first - TIE)
    return GraphMaps(
        {
            "entropy": entropy.sum(CLASSES),
            "expected_entropy": -p_log_p.sum(CLASSES),
            "mutual_information": clip_rounding(information.sum(CLASSES)),  # not H - E: small shares add up better
            "variation_ratio": 1.0 - together.votes.largest(CLASSES) / members,
            "least_confidence": 1.0 - first.clip(0.0, 1.0),
            "margin": 1.0 - (first - second).clip(0.0, 1.0),
        },
        {
            "entropy": entropy,
            "mutual_information": information,
            "area": p,
            "argmax": numbers.equals(most_probable).as_float(),
        },
        most_probable,
        together.entropies,
        [functools.reduce(operator.add, column) / float(len(column)) for column in zip(*distances, strict=True)],
    )


def _distances(pair: _Softmax) -> tuple[Value, Value]:
    """EquAL's, as `consistency` says: the mutual information of the two, and where they vote for different classes."""
    information = (pair.class_entropy + pair.p_log_p / 2.0).sum(CLASSES)
    disagreement = 2.0 - pair.votes.largest(CLASSES)  # two votes for one class, or one each for two
    return mean_over_positions(clip_rounding(information)), mean_over_positions(disagreement)


@dataclass(frozen=True, slots=True)
class _Independent:
    """What one answer says about each class of the positions, or several together."""

    p: Value  # (N, C, h, w), summed over the answers
    q: Value  # (N, C, h, w) 1 - p, which would lose what is small
    h: Value  # (N, C, h, w) nats: binary entropies, summed over the answers
    entropies: tuple[Value, ...]  # a mean over the positions each, (N, 1, 1, 1)

    def __add__(self, other: _Independent) -> _Independent:
        return _Independent(self.p + other.p, self.q + other.q, self.h + other.h, self.entropies + other.entropies)


def _independent_answer(logits_nchw: Value) -> _Independent:
    """With e = exp(-|z|): the likely of p and 1 - p is 1 / (1 + e), and h(p) = log(1 + e) + |z| times the unlikely."""
    size = logits_nchw.absolute()
    e = (-size).exp()
    s = e + 1.0
    likely, unlikely = 1.0 / s, e / s
    is_likely = logits_nchw >= 0.0
    h = s.log() + size * unlikely
    entropy = mean_over_positions(h.sum(CLASSES))
    return _Independent(where(is_likely, likely, unlikely), where(is_likely, unlikely, likely), h, (entropy,))


def _independent_maps(numbers: Value, logits: Sequence[Value]) -> GraphMaps:
    together = functools.reduce(operator.add, (_independent_answer(logits_nchw) for logits_nchw in logits))
    members = float(len(logits))
    p, q, expected = together.p / members, together.q / members, together.h / members
    entropy = -(p * p.clip(_SMALLEST, 1.0).log() + q * q.clip(_SMALLEST, 1.0).log())
    information = entropy - expected
    return GraphMaps(
        {
            "entropy": entropy.sum(CLASSES),
            "expected_entropy": expected.sum(CLASSES),
            "mutual_information": clip_rounding(information.sum(CLASSES)),
            "least_confidence": p.smaller(q).sum(CLASSES),
        },
        {"entropy": entropy, "mutual_information": information, "area": p},
        first_class(numbers, p >= p.largest(CLASSES) - TIE),
        together.entropies,
        [],
    )


def clip_rounding(information: Value) -> Value:
    """What rounding brought below zero is zero."""
    return where(information < _ROUNDING, information, information.clip(0.0, math.inf))


def first_class(numbers: Value, condition: Value) -> Value:
    """The first class for which a condition (N, C, h, w) holds; not by `ArgMax`, whose ties every runtime breaks."""
    return where(condition, numbers, math.inf).smallest(CLASSES)
