"""Loops over the positions of a tile that more than one compiled reduction runs, on rows k of arrays (K, X).

Written for the vector units. Positions are counted by unsigned numbers: of a signed one the compiler must ask whether
it counts from the end, and a loop with that question in it stays off the vector units. Rows are named by their number,
not sliced: a slice is an object whose references are counted. Each loop touches few arrays, because the compiler gives
up on one that needs too many checks for overlap.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.elementary import inlined, inlined_sum
from fleetsift.engines.rows import TIE
from fleetsift.schemas.scores import F32

F64: TypeAlias = NDArray[np.float64]
I32: TypeAlias = NDArray[np.int32]
U16: TypeAlias = NDArray[np.uint16]

_f32 = np.float32
_ZERO = _f32(0)
_TIE = _f32(TIE)
_ROUNDING = _f32(-1e-6)  # a mutual information between this and zero is zero


@inlined
def fill(to_kx: Any, k: int, size: Any, value: Any) -> None:
    for x in range(size):
        to_kx[k, x] = value


@inlined
def add(values_kx: F32, k: Any, size: Any, to_jx: F32, j: int) -> None:
    for x in range(size):
        to_jx[j, x] += values_kx[k, x]


@inlined_sum
def total(values_kx: F32, k: Any, size: Any) -> Any:
    found = _ZERO
    for x in range(size):
        found += values_kx[k, x]
    return found


@inlined
def clip_rounding(information_kx: F32, k: Any, size: Any, terms: Any) -> None:
    """What rounding brought below zero is zero; each of so many terms may have brought it a little below."""
    for x in range(size):
        information = information_kx[k, x]
        information_kx[k, x] = _ZERO if terms * _ROUNDING < information < _ZERO else information


@inlined
def raise_most_probable(mean_p_kx: F32, k: Any, size: Any, c: Any, best_jx: F32, j: int, argmax_ix: I32) -> None:
    """Let class c compete for the argmax, where it is more than a tie."""
    for x in range(size):
        wins = mean_p_kx[k, x] > best_jx[j, x] + _TIE
        best_jx[j, x] = mean_p_kx[k, x] if wins else best_jx[j, x]
        argmax_ix[0, x] = c if wins else argmax_ix[0, x]


@inlined
def all_finite(logits_cp: F32) -> bool:
    """Whether every logit is; those so far apart that their difference overflows count as infinite."""
    classes, positions = logits_cp.shape
    for c in range(classes):
        for x in range(positions):
            if not np.isfinite(logits_cp[c, x] - logits_cp[0, x]):
                return False
    return True
