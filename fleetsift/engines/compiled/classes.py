"""What `reduction` compiles where one of the classes is the answer: loops over a row of neighbouring positions, and
the order they are run in; a row is long enough that entering a loop costs little.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.elementary import LOWEST_EXP, compile_cached, exp, inlined, log
from fleetsift.engines.compiled.loops import (
    F64,
    I32,
    ROW,
    U16,
    add,
    all_finite,
    clip_rounding,
    raise_most_probable,
    total,
)
from fleetsift.engines.rows import CLASS_QUANTITIES
from fleetsift.schemas.scores import F32, QUANTITIES

_ENTROPY, _EXPECTED_ENTROPY, _INFORMATION, _VARIATION_RATIO, _LEAST_CONFIDENCE, _MARGIN = range(len(QUANTITIES))
_CLASS_ENTROPY, _CLASS_INFORMATION, _CLASS_AREA, _CLASS_ARGMAX = range(len(CLASS_QUANTITIES))

_f32, _i32 = np.float32, np.int32
_ZERO, _ONE = _f32(0), _f32(1)
_SMALLEST = _f32(1e-36)  # stands for a probability of zero: p log p is zero to any precision


@inlined
def _raise_largest(logit: F32, c: Any, largest: F32, vote: I32) -> None:
    """Let class c compete for the largest logit; the first of equals wins."""
    for x in range(logit.size):
        wins = logit[x] > largest[x]
        largest[x] = logit[x] if wins else largest[x]
        vote[x] = c if wins else vote[x]


@inlined
def _exponentiate(logit: F32, largest: F32, e: F32, s: F32) -> None:
    """e = exp z; s += e."""
    for x in range(logit.size):
        z = logit[x] - largest[x]
        e[x] = exp(LOWEST_EXP if z < LOWEST_EXP else z)
        s[x] += e[x]


@inlined
def _normalise(s: F32, weight: Any, log_s: F32, factor: F32) -> None:
    """log_s = log S; factor = weight / S."""
    for x in range(s.size):
        log_s[x] = log(s[x])
        factor[x] = weight / s[x]


@inlined
def _add_probability(terms: F32, factor: F32, mean_p: F32) -> None:
    """p = e / S / M, where e was; P += p."""
    for x in range(terms.size):
        terms[x] *= factor[x]
        mean_p[x] += terms[x]


@inlined
def _add_p_log_p(logit: F32, largest: F32, log_s: F32, p: F32, p_log_p: F32) -> None:
    """p_log_p += p (z - log S). Not clamped, so that an infinite logit is seen in the sum."""
    for x in range(logit.size):
        p_log_p[x] += p[x] * ((logit[x] - largest[x]) - log_s[x])


@inlined
def _class_entropy(mean_p: F32, h: F32) -> None:
    """h = -P log P. A P above one by rounding counts as one: no entropy is negative."""
    for x in range(mean_p.size):
        p = mean_p[x] if mean_p[x] > _SMALLEST else _SMALLEST
        p = p if p < _ONE else _ONE
        h[x] = -p * log(p)


@inlined
def _add_entropies(h: F32, p_log_p: F32, entropy: F32, expected_entropy: F32) -> None:
    """Add a class to H and to E."""
    for x in range(h.size):
        entropy[x] += h[x]
        expected_entropy[x] -= p_log_p[x]


@inlined
def _raise_two_largest(mean_p: F32, first: F32, second: F32) -> None:
    """Let a class compete for the two largest P."""
    for x in range(mean_p.size):
        p = mean_p[x]
        runner_up = p if p > second[x] else second[x]
        second[x] = first[x] if p > first[x] else runner_up
        first[x] = p if p > first[x] else first[x]


@inlined
def _confidences(first: F32, second: F32) -> None:
    """From the two largest P to least confidence and margin, in place."""
    for x in range(first.size):
        p = first[x] if first[x] < _ONE else _ONE
        second[x] = _ONE - (p - second[x])
        first[x] = _ONE - p


@inlined
def _count_equal(vote: I32, other_vote: I32, count: F32) -> None:
    for x in range(vote.size):
        count[x] += _ONE if vote[x] == other_vote[x] else _ZERO


@inlined
def _raise(values: F32, largest: F32) -> None:
    for x in range(values.size):
        largest[x] = values[x] if values[x] > largest[x] else largest[x]


class _Scratch(NamedTuple):
    """Room for a row of X positions."""

    largest: F32  # (X,) logit of a member
    sum_exp: F32  # (X,) S
    log_s: F32  # (X,)
    factor: F32  # (X,) 1 / (S M)
    terms: F32  # (C, X) exp z, then p / M, and at the end -P log P
    mean_p: F32  # (C, X) P
    shares: F32  # (C, X) mean over m of p log p, and at the end the class's share of MI
    votes: I32  # (M, X)
    argmax: I32  # (X,)


@inlined
def _scratch(members: int, classes: int, size: int) -> _Scratch:
    return _Scratch(
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty((classes, size), np.float32),
        np.empty((classes, size), np.float32),
        np.empty((classes, size), np.float32),
        np.empty((members, size), np.int32),
        np.empty(size, np.int32),
    )


@inlined
def _add_member(logits_mcp: F32, m: int, start: int, stop: int, row: _Scratch) -> None:
    """Add a member's probabilities and their p log p to those of the members before it, and note its vote."""
    members, classes, _ = logits_mcp.shape
    row.largest[:] = logits_mcp[m, 0, start:stop]
    row.votes[m, :] = 0
    for c in range(1, classes):
        _raise_largest(logits_mcp[m, c, start:stop], _i32(c), row.largest, row.votes[m])
    row.sum_exp[:] = _ZERO
    for c in range(classes):
        _exponentiate(logits_mcp[m, c, start:stop], row.largest, row.terms[c], row.sum_exp)
    _normalise(row.sum_exp, _ONE / _f32(members), row.log_s, row.factor)
    for c in range(classes):
        _add_probability(row.terms[c], row.factor, row.mean_p[c])
        _add_p_log_p(logits_mcp[m, c, start:stop], row.largest, row.log_s, row.terms[c], row.shares[c])


@inlined
def _finish_classes(row: _Scratch, start: int, stop: int, maps_qp: F32, sums_qc: F64) -> None:
    """From sums over members to the maps, all but the votes', and to sums over positions."""
    entropy, expected_entropy = maps_qp[_ENTROPY, start:stop], maps_qp[_EXPECTED_ENTROPY, start:stop]
    information = maps_qp[_INFORMATION, start:stop]
    first, second = maps_qp[_LEAST_CONFIDENCE, start:stop], maps_qp[_MARGIN, start:stop]
    entropy[:] = _ZERO
    expected_entropy[:] = _ZERO
    information[:] = _ZERO
    first[:] = _ZERO
    second[:] = _ZERO
    best = row.largest  # free by now
    best[:] = row.mean_p[0]
    row.argmax[:] = 0
    for c in range(len(row.mean_p)):
        _class_entropy(row.mean_p[c], row.terms[c])
        _add_entropies(row.terms[c], row.shares[c], entropy, expected_entropy)
        add(row.terms[c], row.shares[c])
        add(row.shares[c], information)  # not H - E at the end: the small shares of many classes add up better
        _raise_two_largest(row.mean_p[c], first, second)
        raise_most_probable(row.mean_p[c], _i32(c), best, row.argmax)
        sums_qc[_CLASS_ENTROPY, c] += total(row.terms[c])
        sums_qc[_CLASS_INFORMATION, c] += total(row.shares[c])
        sums_qc[_CLASS_AREA, c] += total(row.mean_p[c])
    for x in range(len(row.argmax)):
        sums_qc[_CLASS_ARGMAX, row.argmax[x]] += 1
    clip_rounding(information, _ONE)
    _confidences(first, second)


@inlined
def _finish_votes(row: _Scratch, ratio: F32) -> None:
    """Variation ratio: every member counts those who vote as it does, itself among them; the highest count wins."""
    members = len(row.votes)
    most, count = row.sum_exp, row.factor  # free by now
    most[:] = _ZERO
    for m in range(members):
        count[:] = _ZERO
        for other in range(members):
            _count_equal(row.votes[m], row.votes[other], count)
        _raise(count, most)
    for x in range(len(ratio)):
        ratio[x] = _ONE - most[x] / _f32(members)


@compile_cached
def reduce_positions(
    logits_mcp: F32, maps_qp: F32, sums_qc: F64, argmax_p: U16, class_information_cp: F32, finite_m: NDArray[np.bool_]
) -> None:
    """Reduce the logits (M, C, P) of P positions into the arrays after them, as `reduce_logits` describes.

    sums_qc comes as zeros and finite_m as True; class_information_cp may have no positions: then it is left out.
    """
    members, classes, positions = logits_mcp.shape
    row = _scratch(members, classes, ROW)
    for start in range(0, positions, ROW):
        stop = min(start + ROW, positions)
        if stop - start < ROW:
            row = _scratch(members, classes, stop - start)
        row.mean_p[:] = _ZERO
        row.shares[:] = _ZERO
        for m in range(members):
            _add_member(logits_mcp, m, start, stop, row)
        _finish_classes(row, start, stop, maps_qp, sums_qc)
        _finish_votes(row, maps_qp[_VARIATION_RATIO, start:stop])
        argmax_p[start:stop] = row.argmax
        if class_information_cp.size:
            class_information_cp[:, start:stop] = row.shares
        # Whatever is not finite has come through to the expected entropy: only then is it worth asking whose it is.
        if not np.isfinite(total(maps_qp[_EXPECTED_ENTROPY, start:stop])):
            for m in range(members):
                finite_m[m] &= all_finite(logits_mcp[m], start, stop)
