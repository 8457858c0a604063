"""What `reduction` compiles where one of the classes is the answer: loops over the positions of a tile, and the order
they are run in.
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
    keep,
    recall,
    tiles,
)
from fleetsift.engines.rows import CLASS_QUANTITIES
from fleetsift.schemas.scores import F32, QUANTITIES

_ENTROPY, _EXPECTED_ENTROPY, _INFORMATION, _VARIATION_RATIO, _LEAST_CONFIDENCE, _MARGIN = range(len(QUANTITIES))
_CLASS_ENTROPY, _CLASS_INFORMATION, _CLASS_AREA, _CLASS_ARGMAX = range(len(CLASS_QUANTITIES))

_f32, _i32, _u64 = np.float32, np.int32, np.uint64
_ZERO, _ONE = _f32(0), _f32(1)
_SMALLEST = _f32(1e-36)  # stands for a probability of zero: p log p is zero to any precision


class Turn(NamedTuple):
    """Which members of the ensemble these are, and room for what those before them came to."""

    first: np.uint64
    members: np.uint64  # M, of the whole ensemble
    sums_kp: F32  # (2 C, P) their P and p log p, summed; no positions where all members come at once
    votes_mp: U16  # (M, P)


class _Room(NamedTuple):
    """Room for the X positions of a tile; it does not grow with the members, but for their votes."""

    maps: F32  # (quantity, X)
    logits: F32  # (C, X) of a member, where they are enlarged
    edges: F32  # (2, X) of one class, between which they are
    member: F32  # (4, X) of a member: largest logit, S, log S, 1 / (S M)
    terms: F32  # (C, X) exp z of a member, and at the end -P log P
    mean_p: F32  # (C, X) P
    shares: F32  # (C, X) mean over m of p log p, and at the end the class's share of MI
    votes: I32  # (M, X)
    argmax: I32  # (1, X)


_LARGEST, _SUM_EXP, _LOG_S, _FACTOR = range(4)


@inlined
def _room(members: int, classes: int) -> _Room:
    return _Room(
        np.empty((6, TILE), np.float32),
        np.empty((classes, TILE), np.float32),
        np.empty((2, TILE), np.float32),
        np.empty((4, TILE), np.float32),
        np.empty((classes, TILE), np.float32),
        np.empty((classes, TILE), np.float32),
        np.empty((classes, TILE), np.float32),
        np.empty((members, TILE), np.int32),
        np.empty((1, TILE), np.int32),
    )


@inlined
def _find_largest(logits_cp: F32, start: Any, size: Any, m: Any, room: _Room) -> None:
    """The largest logit, and which class has it: the first of equals."""
    largest, votes = room.member, room.votes
    for x in range(size):
        largest[_LARGEST, x] = logits_cp[0, start + x]
        votes[m, x] = 0
    for c in range(_u64(1), _u64(len(logits_cp))):
        vote = _i32(c)
        for x in range(size):
            wins = logits_cp[c, start + x] > largest[_LARGEST, x]
            largest[_LARGEST, x] = logits_cp[c, start + x] if wins else largest[_LARGEST, x]
            votes[m, x] = vote if wins else votes[m, x]


@inlined
def _exponentiate(logits_cp: F32, c: Any, start: Any, size: Any, member: F32, terms: F32) -> None:
    """exp z; S += exp z."""
    for x in range(size):
        z = logits_cp[c, start + x] - member[_LARGEST, x]
        e = exp(LOWEST_EXP if z < LOWEST_EXP else z)
        terms[c, x] = e
        member[_SUM_EXP, x] += e


@inlined
def _add_class(logits_cp: F32, c: Any, start: Any, size: Any, room: _Room) -> None:
    """P += p / M, and p log p / M with log p = z - log S: not clamped, so that an infinite logit is seen in the sum."""
    member, terms, mean_p, shares = room.member, room.terms, room.mean_p, room.shares
    for x in range(size):
        p = terms[c, x] * member[_FACTOR, x]
        mean_p[c, x] += p
        shares[c, x] += p * ((logits_cp[c, start + x] - member[_LARGEST, x]) - member[_LOG_S, x])


@inlined
def _add_member(logits_cp: F32, start: Any, size: Any, m: Any, room: _Room) -> None:
    """Add a member's probabilities and their p log p to those of the members before it, and note its vote."""
    member, classes = room.member, _u64(len(logits_cp))
    _find_largest(logits_cp, start, size, m, room)
    fill(member, _SUM_EXP, size, _ZERO)
    for c in range(classes):
        _exponentiate(logits_cp, c, start, size, member, room.terms)
    weight = _ONE / _f32(len(room.votes))
    for x in range(size):
        member[_LOG_S, x] = log(member[_SUM_EXP, x])
        member[_FACTOR, x] = weight / member[_SUM_EXP, x]
    for c in range(classes):
        _add_class(logits_cp, c, start, size, room)


@inlined
def _class_entropy(mean_p: F32, c: Any, size: Any, h: F32) -> None:
    """h = -P log P. A P above one by rounding counts as one: no entropy is negative."""
    for x in range(size):
        p = mean_p[c, x] if mean_p[c, x] > _SMALLEST else _SMALLEST
        p = p if p < _ONE else _ONE
        h[c, x] = -p * log(p)


@inlined
def _add_entropies(h: F32, shares: F32, c: Any, size: Any, maps: F32) -> None:
    """Add a class to H, to E, and to MI: not H - E at the end, the small shares of many classes add up better."""
    for x in range(size):
        information = h[c, x] + shares[c, x]
        maps[_ENTROPY, x] += h[c, x]
        maps[_EXPECTED_ENTROPY, x] -= shares[c, x]
        maps[_INFORMATION, x] += information
        shares[c, x] = information


@inlined
def _raise_two_largest(mean_p: F32, c: Any, size: Any, maps: F32) -> None:
    """Let a class compete for the two largest P, kept where least confidence and margin will stand."""
    for x in range(size):
        p, first, second = mean_p[c, x], maps[_LEAST_CONFIDENCE, x], maps[_MARGIN, x]
        runner_up = p if p > second else second
        maps[_MARGIN, x] = first if p > first else runner_up
        maps[_LEAST_CONFIDENCE, x] = p if p > first else first


@inlined
def _finish_classes(room: _Room, size: Any, sums_qc: F64) -> None:
    """From sums over members to the maps, all but the votes', and to sums over positions."""
    maps, terms, mean_p, shares, best = room.maps, room.terms, room.mean_p, room.shares, room.member
    for q in range(len(maps)):
        fill(maps, q, size, _ZERO)
    for x in range(size):
        best[0, x] = mean_p[0, x]
        room.argmax[0, x] = 0
    for c in range(_u64(len(mean_p))):
        _class_entropy(mean_p, c, size, terms)
        sums_qc[_CLASS_ENTROPY, c] += total(terms, c, size)
        _add_entropies(terms, shares, c, size, maps)
        sums_qc[_CLASS_INFORMATION, c] += total(shares, c, size)
        sums_qc[_CLASS_AREA, c] += total(mean_p, c, size)
        _raise_two_largest(mean_p, c, size, maps)
        raise_most_probable(mean_p, c, size, _i32(c), best, 0, room.argmax)
    for x in range(size):
        sums_qc[_CLASS_ARGMAX, room.argmax[0, x]] += 1
    clip_rounding(maps, _INFORMATION, size, _ONE)
    for x in range(size):
        p = maps[_LEAST_CONFIDENCE, x] if maps[_LEAST_CONFIDENCE, x] < _ONE else _ONE
        maps[_MARGIN, x] = _ONE - (p - maps[_MARGIN, x])
        maps[_LEAST_CONFIDENCE, x] = _ONE - p


@inlined
def _count_votes(room: _Room, size: Any) -> None:
    """Variation ratio: each member counts itself and those after it who vote alike."""
    maps, count, votes, members = room.maps, room.member, room.votes, _u64(len(room.votes))
    for m in range(members):
        fill(count, 0, size, _ONE)
        for other in range(m + _u64(1), members):
            for x in range(size):
                count[0, x] += _ONE if votes[m, x] == votes[other, x] else _ZERO
        for x in range(size):
            maps[_VARIATION_RATIO, x] = max(maps[_VARIATION_RATIO, x], count[0, x])
    for x in range(size):
        maps[_VARIATION_RATIO, x] = _ONE - maps[_VARIATION_RATIO, x] / _f32(members)


@inlined
def _recall(turn: Turn, tile: Tile, room: _Room) -> None:
    """What the members before these came to in a tile; nothing, where these are the first."""
    for c in range(_u64(len(room.mean_p))):
        fill(room.mean_p, c, tile.size, _ZERO)
        fill(room.shares, c, tile.size, _ZERO)
    if turn.first:
        classes = _u64(len(room.mean_p))
        for c in range(classes):
            recall(turn.sums_kp, c, tile, room.mean_p, c)
            recall(turn.sums_kp, classes + c, tile, room.shares, c)
        for m in range(turn.first):
            recall(turn.votes_mp, m, tile, room.votes, m)


@inlined
def _keep(room: _Room, tile: Tile, stop: Any, turn: Turn) -> None:
    """Keep what the members up to `stop` came to in a tile, for those after them."""
    classes = _u64(len(room.mean_p))
    for c in range(classes):
        keep(room.mean_p, c, tile, turn.sums_kp, c)
        keep(room.shares, c, tile, turn.sums_kp, classes + c)
    for m in range(turn.first, stop):
        keep(room.votes, m, tile, turn.votes_mp, m)


@inlined
def _add_members(logits_mcp: F32, first: Any, enlargement: Enlargement, tile: Tile, room: _Room) -> None:
    """Add these members to what there is of the ensemble in a tile."""
    members, classes, _ = logits_mcp.shape
    for m in range(_u64(members)):
        if enlargement.width:
            for c in range(_u64(classes)):
                enlarge(logits_mcp[m], c, enlargement, tile, room.edges, room.logits, c)
            _add_member(room.logits, _u64(0), tile.size, first + m, room)
        else:
            _add_member(logits_mcp[m], tile.left, tile.size, first + m, room)


@inlined
def _is_finite(room: _Room, size: Any) -> bool:
    """Whether every p log p so far is: whatever is not finite in a logit comes through to it."""
    found = _ZERO
    for c in range(_u64(len(room.shares))):
        found += total(room.shares, c, size)
    return bool(np.isfinite(found))


@compile_cached
def reduce_classes(
    logits_mcp: F32,
    turn: Turn,
    enlargement: Enlargement,
    maps_qyx: F32,
    sums_qc: F64,
    argmax_yx: U16,
    class_maps_kyx: F32,
    finite_m: NDArray[np.bool_],
) -> None:
    """Reduce the logits (members, C, P), enlarged or not, into the arrays after them, as `reduction` describes.

    Members that come in turns leave what they come to in `turn`, and the last of them all the rest; there is no
    enlargement then. sums_qc comes as zeros and finite_m, of all members, as True; class_maps_kyx, entropy of each
    class and then mutual information of each, may have no positions: then they are left out.
    """
    classes = logits_mcp.shape[1]
    stop = turn.first + _u64(len(logits_mcp))
    room = _room(int(turn.members), classes)
    all_are_finite = True
    for tile in tiles(enlargement, maps_qyx.shape[2]):
        _recall(turn, tile, room)
        _add_members(logits_mcp, turn.first, enlargement, tile, room)
        all_are_finite &= _is_finite(room, tile.size)
        if stop < turn.members:
            _keep(room, tile, stop, turn)
            continue
        _finish_classes(room, tile.size, sums_qc)
        _count_votes(room, tile.size)
        for q in range(len(QUANTITIES)):
            copy_tile(room.maps, q, tile, maps_qyx, q)
        copy_argmax(room.argmax, tile, argmax_yx)
        if class_maps_kyx.size:
            for c in range(classes):
                copy_tile(room.terms, c, tile, class_maps_kyx, c)
                copy_tile(room.shares, c, tile, class_maps_kyx, classes + c)
    if not all_are_finite:  # only then is it worth asking whose it is
        for m in range(_u64(len(logits_mcp))):
            finite_m[turn.first + m] = all_finite(logits_mcp[m])
