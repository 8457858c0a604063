"""What `reduction` compiles where every class is a question of its own: yes or no at every position.

With e = exp -|z| and S = 1 + e, the likelier of p and 1 - p is 1 / S and the other e / S, and the entropy of the two is
log S + |z| e / S. Both are averaged over the members: of a P near one, 1 - P would keep few digits. Classes come one
after the other, so all that is needed of the positions at hand stays in the nearest cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.elementary import LOWEST_EXP, compile_cached, exp, inlined, log
from fleetsift.engines.compiled.loops import (
    F64,
    I32,
    U16,
    add,
    all_finite,
    clip_rounding,
    fill,
    raise_most_probable,
    total,
)
from fleetsift.engines.compiled.tiles import (
    TILE,
    Enlargement,
    Tile,
    copy_argmax,
    copy_tile,
    enlarge,
    tiles,
)
from fleetsift.engines.rows import class_quantities_of
from fleetsift.schemas.scores import F32, quantities_of

_ENTROPY, _EXPECTED_ENTROPY, _INFORMATION, _LEAST_CONFIDENCE = range(len(quantities_of("detection_heatmap")))
_CLASS_ENTROPY, _CLASS_INFORMATION, _CLASS_AREA = range(len(class_quantities_of("detection_heatmap")))

_f32, _i32, _u64 = np.float32, np.int32, np.uint64
_ZERO, _ONE = _f32(0), _f32(1)
_SMALLEST = _f32(1e-36)  # stands for a probability of zero: p log p is zero to any precision


_YES, _NO, _EXPECTED, _H, _MI = range(5)


class _Room(NamedTuple):
    """Room for the X positions of a tile."""

    maps: F32  # (quantity, X)
    of_class: F32  # (5, X) of one class: P, 1 - P, E, H, H - E
    best: F32  # (1, X) the largest P
    argmax: I32  # (1, X)
    logits: F32  # (1, X) of a member, where they are enlarged
    edges: F32  # (2, X) between which they are


@inlined
def _room() -> _Room:
    return _Room(
        np.empty((4, TILE), np.float32),
        np.empty((5, TILE), np.float32),
        np.empty((1, TILE), np.float32),
        np.empty((1, TILE), np.int32),
        np.empty((1, TILE), np.float32),
        np.empty((2, TILE), np.float32),
    )


@inlined
def _add_member(logits_kp: F32, k: Any, start: Any, size: Any, sums: F32) -> None:
    """Add p, 1 - p and h(p) to their sums. The size is not clamped, so that infinity is seen in the last."""
    for x in range(size):
        logit = logits_kp[k, start + x]
        far = abs(logit)
        e = exp(LOWEST_EXP if -far < LOWEST_EXP else -far)
        s = _ONE + e
        likely, unlikely = _ONE / s, e / s
        sums[_YES, x] += likely if logit >= _ZERO else unlikely
        sums[_NO, x] += unlikely if logit >= _ZERO else likely
        sums[_EXPECTED, x] += log(s) + far * unlikely


@inlined
def _average(sums: F32, size: Any, members: Any) -> None:
    """From sums to P, 1 - P and E. The first two make one: were they a rounding off, so would every class's MI be."""
    for x in range(size):
        both = sums[_YES, x] + sums[_NO, x]
        sums[_YES, x] /= both
        sums[_NO, x] /= both
        sums[_EXPECTED, x] /= members


@inlined
def _entropy_and_information(sums: F32, size: Any) -> None:
    """h = -P log P - (1 - P) log (1 - P), and h - E. A P above one counts as one: no entropy is negative."""
    for x in range(size):
        p = min(max(sums[_YES, x], _SMALLEST), _ONE)
        q = min(max(sums[_NO, x], _SMALLEST), _ONE)
        h = -p * log(p) - q * log(q)
        sums[_H, x] = h
        sums[_MI, x] = h - sums[_EXPECTED, x]


@inlined
def _reduce_class(logits_mcp: F32, c: Any, enlargement: Enlargement, tile: Tile, room: _Room) -> None:
    """From the members' logits of a class in a tile to all that is said of it, in `room.of_class`."""
    sums, members = room.of_class, len(logits_mcp)
    for k in range(_MI):
        fill(sums, k, tile.size, _ZERO)
    for m in range(members):
        if enlargement.width:
            enlarge(logits_mcp[m], c, enlargement, tile, room.edges, room.logits, 0)
            _add_member(room.logits, 0, _u64(0), tile.size, sums)
        else:
            _add_member(logits_mcp[m], c, tile.left, tile.size, sums)
    _average(sums, tile.size, _f32(members))
    _entropy_and_information(sums, tile.size)


@inlined
def _add_class(c: Any, size: Any, room: _Room, sums_qc: F64) -> None:
    """Add a class to the maps and to the sums over positions, and let it compete for the argmax."""
    of_class, maps = room.of_class, room.maps
    if c == 0:
        add(of_class, _YES, size, room.best, 0)
    raise_most_probable(of_class, _YES, size, _i32(c), room.best, 0, room.argmax)
    add(of_class, _H, size, maps, _ENTROPY)
    add(of_class, _EXPECTED, size, maps, _EXPECTED_ENTROPY)
    add(of_class, _MI, size, maps, _INFORMATION)
    for x in range(size):
        yes, no = of_class[_YES, x], of_class[_NO, x]
        maps[_LEAST_CONFIDENCE, x] += yes if yes < no else no
    sums_qc[_CLASS_ENTROPY, c] += total(of_class, _H, size)
    sums_qc[_CLASS_INFORMATION, c] += total(of_class, _MI, size)
    sums_qc[_CLASS_AREA, c] += total(of_class, _YES, size)


@compile_cached
def reduce_independent(
    logits_mcp: F32,
    enlargement: Enlargement,
    maps_qyx: F32,
    sums_qc: F64,
    argmax_yx: U16,
    class_maps_kyx: F32,
    finite_m: NDArray[np.bool_],
) -> None:
    """Reduce the logits (M, C, P), enlarged or not, into the arrays after them, as `reduce_logits` describes.

    sums_qc comes as zeros and finite_m as True; class_maps_kyx, entropy of each class and then mutual
    information of each, may have no positions: then they are left out.
    """
    members, classes, _ = logits_mcp.shape
    room = _room()
    all_are_finite = True
    for tile in tiles(enlargement, maps_qyx.shape[2]):
        for q in range(len(room.maps)):
            fill(room.maps, q, tile.size, _ZERO)
        fill(room.best, 0, tile.size, _ZERO)
        fill(room.argmax, 0, tile.size, 0)
        for c in range(_u64(classes)):
            _reduce_class(logits_mcp, c, enlargement, tile, room)
            _add_class(c, tile.size, room, sums_qc)
            if class_maps_kyx.size:
                clip_rounding(room.of_class, _MI, tile.size, _ONE)
                copy_tile(room.of_class, _H, tile, class_maps_kyx, c)
                copy_tile(room.of_class, _MI, tile, class_maps_kyx, _u64(classes) + c)
        clip_rounding(room.maps, _INFORMATION, tile.size, _f32(classes))
        for q in range(len(room.maps)):
            copy_tile(room.maps, q, tile, maps_qyx, q)
        copy_argmax(room.argmax, tile, argmax_yx)
        all_are_finite &= bool(np.isfinite(total(room.maps, _EXPECTED_ENTROPY, tile.size)))
    # Whatever is not finite has come through to the expected entropy: only then is it worth asking whose it is.
    if not all_are_finite:
        for m in range(members):
            finite_m[m] = all_finite(logits_mcp[m])
