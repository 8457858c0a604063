"""Loops over a row of neighbouring positions that more than one compiled reduction runs.

Written for the vector units: each loop touches few arrays, because the compiler gives up on one that needs more than
eight checks for overlap. Numba's cache looks at the file of the outermost function only: after a change here, touch
`kernel.py` and `kernel_independent.py`.
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

ROW = 512  # positions worked on together

_f32 = np.float32
_ZERO = _f32(0)
_TIE = _f32(TIE)
_ROUNDING = _f32(-1e-6)  # a mutual information between this and zero is zero


@inlined
def add(values: F32, to: F32) -> None:
    for x in range(values.size):
        to[x] += values[x]


@inlined_sum
def total(values: F32) -> Any:
    found = _ZERO
    for x in range(values.size):
        found += values[x]
    return found


@inlined
def clip_rounding(information: F32, terms: Any) -> None:
    """What rounding brought below zero is zero; each of so many terms may have brought it a little below."""
    for x in range(information.size):
        information[x] = _ZERO if terms * _ROUNDING < information[x] < _ZERO else information[x]


@inlined
def raise_most_probable(mean_p: F32, c: Any, best: F32, argmax: I32) -> None:
    """Let class c compete for the argmax, where it is more than a tie."""
    for x in range(mean_p.size):
        wins = mean_p[x] > best[x] + _TIE
        best[x] = mean_p[x] if wins else best[x]
        argmax[x] = c if wins else argmax[x]


@inlined
def all_finite(logits_cp: F32, start: int, stop: int) -> bool:
    """Whether every logit is; those so far apart that their difference overflows count as infinite."""
    for c in range(len(logits_cp)):
        for x in range(start, stop):
            if not np.isfinite(logits_cp[c, x] - logits_cp[0, x]):
                return False
    return True
