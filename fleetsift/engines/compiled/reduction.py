"""The compiled reduction: one pass over the logits of one frame gives everything that is said about its positions.

The formulas are those of `uncertainty`, arranged for one exponential a logit and one logarithm a class: with
z = logit - largest and S = sum of exp z, log p = z - log S; for independent classes those of `independent`. It works in
float32, on tiles of positions whose scratch stays in the near caches, so memory does not grow with the members. One
frame is one thread's work: its numbers are the same in any batch and for any number of threads. The interpreter's lock
is released meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.classes import Turn, reduce_classes
from fleetsift.engines.compiled.independent import reduce_independent
from fleetsift.engines.compiled.tiles import AS_ANSWERED, Enlargement
from fleetsift.engines.rows import class_quantities_of
from fleetsift.schemas.scores import F32, Task, has_independent_classes, quantities_of


@dataclass(frozen=True, slots=True)
class Reduced:
    """What the logits of one frame come down to; meaningless where a member is not finite."""

    task: Task
    maps: F32  # (quantity, h, w) in the order of `quantities_of(task)`
    class_means: NDArray[np.float64]  # (quantity, C) over the positions, in the order of `class_quantities_of(task)`
    argmax: NDArray[np.uint16]  # (h, w) class with the largest P, of ties the first
    class_entropy: F32  # (C, h, w) nats; (C, 0, 0) where it was not asked for
    class_information: F32  # the same
    finite: NDArray[np.bool_]  # (M,) whether all logits of a member are

    def map_of(self, quantity: str) -> F32:
        """The map (h, w) of one quantity."""
        values: F32 = self.maps[quantities_of(self.task).index(quantity)]
        return values


@dataclass(frozen=True, slots=True)
class Sums:
    """Room for what the members of a frame come to while they answer one after another; it grows by their votes."""

    of_classes: F32  # (2 C, P)
    votes: NDArray[np.uint16]  # (M, P)


def room_for_sums(members: int, classes: int, positions: int) -> Sums:
    """Room for one frame after another."""
    return Sums(np.zeros((2 * classes, positions), np.float32), np.zeros((members, positions), np.uint16))


_IN_TURNS: Task = "semantic_segmentation"
_ROUNDING = -1e-6  # a class's mean mutual information between this and zero is zero
_NO_SUMS = room_for_sums(0, 0, 0)


def reduce_logits(
    logits_mchw: F32,
    *,
    class_maps: bool = False,
    task: Task = "semantic_segmentation",
    enlargement: Enlargement = AS_ANSWERED,
) -> Reduced:
    """Reduce the logits (M, C, h, w) of one frame, contiguous float32, at most 65,535 classes.

    enlargement: to what size they are enlarged before; only some rows of one member are at that size at a time.
    Within 1e-5 nats of the float64 reference for logits up to 1e24 in size. Mutual information is a small difference
    of two entropies: what rounding brings below zero by less than 1e-6, for each of independent classes, is zero;
    anything lower is left to be seen.
    """
    members, classes, *native = logits_mchw.shape
    size = (native[0], native[1]) if enlargement is AS_ANSWERED else enlargement.size
    found = _room_for(task, members, classes, size, class_maps=class_maps)
    into = found.in_one_row() if enlargement is AS_ANSWERED else found
    logits = logits_mchw.reshape(members, classes, -1)
    if has_independent_classes(task):
        reduce_independent(logits, enlargement, *into)
    else:
        reduce_classes(logits, _turn(0, members, _NO_SUMS), enlargement, *into)
    return _reduced(task, found)


def reduce_in_turns(turns: Iterable[F32], sums: Sums, *, class_maps: bool = False) -> Reduced:
    """The same of members of which only some (members, C, h, w) are there at a time, bit by bit; one class an answer.

    sums: `room_for_sums` of all members. Each turn is done with before the next is asked for.
    """
    members, first, found = len(sums.votes), 0, None
    for logits_mchw in turns:
        some, classes, height, width = logits_mchw.shape
        found = found or _room_for(_IN_TURNS, members, classes, (height, width), class_maps=class_maps)
        logits, turn = logits_mchw.reshape(some, classes, -1), _turn(first, members, sums)
        reduce_classes(logits, turn, AS_ANSWERED, *found.in_one_row())
        first += some
    if found is None or first != members:
        raise ValueError(f"reduce_in_turns: expected {members} members, got {first}")
    return _reduced(_IN_TURNS, found)


class _Found(NamedTuple):
    """What a compiled reduction writes, in its order."""

    maps: F32  # (quantity, h, w)
    sums: NDArray[np.float64]  # (quantity, C) over the positions
    argmax: NDArray[np.uint16]  # (h, w)
    class_maps: F32  # (2 C, h, w), or no positions
    finite: NDArray[np.bool_]  # (M,)

    def in_one_row(self) -> _Found:
        """The same places, with all positions in one row."""
        rows = 1 if self.class_maps.size else 0
        return self._replace(
            maps=self.maps.reshape(len(self.maps), 1, -1),
            argmax=self.argmax.reshape(1, -1),
            class_maps=self.class_maps.reshape(len(self.class_maps), rows, self.argmax.size * rows),
        )


def _room_for(task: Task, members: int, classes: int, size: tuple[int, int], *, class_maps: bool) -> _Found:
    return _Found(
        np.empty((len(quantities_of(task)), *size), np.float32),
        np.zeros((len(class_quantities_of(task)), classes)),
        np.empty(size, np.uint16),
        np.empty((2 * classes, *(size if class_maps else (0, 0))), np.float32),
        np.ones(members, np.bool_),
    )


def _turn(first: int, members: int, sums: Sums) -> Turn:
    return Turn(np.uint64(first), np.uint64(members), sums.of_classes, sums.votes)


def _reduced(task: Task, found: _Found) -> Reduced:
    entropy, information = np.split(found.class_maps, 2)
    means = found.sums / found.argmax.size
    shares = means[class_quantities_of(task).index("mutual_information")]
    shares[(shares > _ROUNDING) & (shares < 0)] = 0
    return Reduced(task, found.maps, means, found.argmax, entropy, information, found.finite)
