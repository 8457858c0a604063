"""What `reduction` compiles where every class is a question of its own: yes or no at every position.

With e = exp -|z| and S = 1 + e, the likelier of p and 1 - p is 1 / S and the other e / S, and the entropy of the two is
log S + |z| e / S. Both are averaged over the members: of a P near one, 1 - P would keep few digits. Classes come one
after the other, so all that is needed of the positions at hand stays in the nearest cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.elementary import LOWEST_EXP, compile_cached, exp, inlined, log
from fleetsift.engines.compiled.loops import F64, ROW, U16, add, all_finite, clip_rounding, raise_most_probable, total
from fleetsift.engines.rows import class_quantities_of
from fleetsift.schemas.scores import F32, quantities_of

_ENTROPY, _EXPECTED_ENTROPY, _INFORMATION, _LEAST_CONFIDENCE = range(len(quantities_of("detection_heatmap")))
_CLASS_ENTROPY, _CLASS_INFORMATION, _CLASS_AREA = range(len(class_quantities_of("detection_heatmap")))

_f32, _i32 = np.float32, np.int32
_ZERO, _ONE = _f32(0), _f32(1)
_ROUNDING = -1e-6  # a class's mean mutual information between this and zero is zero
_SMALLEST = _f32(1e-36)  # stands for a probability of zero: p log p is zero to any precision


@inlined
def _add_member(logit: F32, yes: F32, no: F32, entropies: F32) -> None:
    """Add p, 1 - p and h(p) to their sums. The size is not clamped, so that infinity is seen in the last."""
    for x in range(logit.size):
        size = abs(logit[x])
        e = exp(LOWEST_EXP if -size < LOWEST_EXP else -size)
        s = _ONE + e
        likely, unlikely = _ONE / s, e / s
        yes[x] += likely if logit[x] >= _ZERO else unlikely
        no[x] += unlikely if logit[x] >= _ZERO else likely
        entropies[x] += log(s) + size * unlikely


@inlined
def _average(yes: F32, no: F32, entropies: F32, members: Any) -> None:
    """From sums to P, 1 - P and E. The first two make one: were they a rounding off, so would every class's MI be."""
    for x in range(yes.size):
        both = yes[x] + no[x]
        yes[x] /= both
        no[x] /= both
        entropies[x] /= members


@inlined
def _binary_entropy(yes: F32, no: F32, h: F32) -> None:
    """h = -P log P - (1 - P) log (1 - P). What rounding brought above one counts as one: no entropy is negative."""
    for x in range(yes.size):
        p = min(max(yes[x], _SMALLEST), _ONE)
        q = min(max(no[x], _SMALLEST), _ONE)
        h[x] = -p * log(p) - q * log(q)


@inlined
def _subtract(values: F32, other: F32, difference: F32) -> None:
    for x in range(values.size):
        difference[x] = values[x] - other[x]


@inlined
def _add_smaller(values: F32, other: F32, to: F32) -> None:
    for x in range(values.size):
        to[x] += values[x] if values[x] < other[x] else other[x]


@compile_cached
def reduce_independent(
    logits_mcp: F32, maps_qp: F32, sums_qc: F64, argmax_p: U16, class_information_cp: F32, finite_m: NDArray[np.bool_]
) -> None:
    """Reduce the logits (M, C, P) of P positions into the arrays after them, as `reduce_logits` describes.

    sums_qc comes as zeros and finite_m as True; class_information_cp may have no positions: then it is left out.
    """
    members, classes, positions = logits_mcp.shape
    scratch = np.empty((6, ROW), np.float32)
    argmax = np.empty(ROW, np.int32)
    maps_qp[:] = _ZERO
    for start in range(0, positions, ROW):
        stop = min(start + ROW, positions)
        yes, no, expected = scratch[0, : stop - start], scratch[1, : stop - start], scratch[2, : stop - start]
        h, information, best = scratch[3, : stop - start], scratch[4, : stop - start], scratch[5, : stop - start]
        best[:] = _ZERO
        argmax[:] = 0
        for c in range(classes):
            yes[:] = _ZERO
            no[:] = _ZERO
            expected[:] = _ZERO
            for m in range(members):
                _add_member(logits_mcp[m, c, start:stop], yes, no, expected)
            _average(yes, no, expected, _f32(members))
            _binary_entropy(yes, no, h)
            _subtract(h, expected, information)
            if c == 0:
                best[:] = yes
            raise_most_probable(yes, _i32(c), best, argmax[: stop - start])
            add(h, maps_qp[_ENTROPY, start:stop])
            add(expected, maps_qp[_EXPECTED_ENTROPY, start:stop])
            add(information, maps_qp[_INFORMATION, start:stop])
            _add_smaller(yes, no, maps_qp[_LEAST_CONFIDENCE, start:stop])
            sums_qc[_CLASS_ENTROPY, c] += total(h)
            sums_qc[_CLASS_INFORMATION, c] += total(information)
            sums_qc[_CLASS_AREA, c] += total(yes)
            if class_information_cp.size:
                clip_rounding(information, _ONE)
                class_information_cp[c, start:stop] = information
        clip_rounding(maps_qp[_INFORMATION, start:stop], _f32(classes))
        argmax_p[start:stop] = argmax[: stop - start]
        # Whatever is not finite has come through to the expected entropy: only then is it worth asking whose it is.
        if not np.isfinite(total(maps_qp[_EXPECTED_ENTROPY, start:stop])):
            for m in range(members):
                finite_m[m] &= all_finite(logits_mcp[m], start, stop)
    for c in range(classes):
        if _ROUNDING * positions < sums_qc[_CLASS_INFORMATION, c] < _ZERO:
            sums_qc[_CLASS_INFORMATION, c] = _ZERO
