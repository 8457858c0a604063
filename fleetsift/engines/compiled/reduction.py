"""The compiled reduction: one pass over the logits of one frame gives everything that is said about its positions.

The formulas are those of `uncertainty`, arranged for one exponential a logit and one logarithm a class: with
z = logit - largest and S = sum of exp z, log p = z - log S; for independent classes those of `independent`. It works in
float32, on tiles of positions whose scratch stays in the near caches, so memory does not grow with the members. One
frame is one thread's work: its numbers are the same in any batch and for any number of threads. The interpreter's lock
is released meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.classes import reduce_classes
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
    height, width = native if enlargement is AS_ANSWERED else enlargement.size
    plane = (1, height * width) if enlargement is AS_ANSWERED else (height, width)
    quantities = len(quantities_of(task))
    maps = np.empty((quantities, height, width), np.float32)
    sums = np.zeros((len(class_quantities_of(task)), classes))
    argmax = np.empty((height, width), np.uint16)
    of_classes = np.empty((2, classes, *((height, width) if class_maps else (0, 0))), np.float32)
    finite = np.ones(members, np.bool_)
    reduce = reduce_independent if has_independent_classes(task) else reduce_classes
    reduce(
        logits_mchw.reshape(members, classes, -1),
        enlargement,
        maps.reshape(quantities, *plane),
        sums,
        argmax.reshape(plane),
        of_classes.reshape(2 * classes, *(plane if class_maps else (0, 0))),
        finite,
    )
    return Reduced(task, maps, sums / (height * width), argmax, of_classes[0], of_classes[1], finite)
