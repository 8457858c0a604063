"""The reduction as one Triton kernel: every logit is read once, and nothing of the size of a class map is written.

A program has a block of neighbouring positions of one frame, all their classes in registers, and goes through the
members. Sums over positions are left as one number a block, and added up in a fixed order: the same bits each time.
"""

from __future__ import annotations

from typing import Any

import torch
import triton  # type: ignore[import-untyped]
from torch import Tensor

from fleetsift.engines.modules.reduced import ROUNDING, SMALLEST, Reduced
from fleetsift.engines.modules.triton_independent import reduce_independent
from fleetsift.engines.modules.triton_softmax import reduce_softmax
from fleetsift.engines.rows import TIE, class_quantities_of
from fleetsift.schemas.scores import Task, has_independent_classes, quantities_of

_TILE = 2048  # logits that a program holds at once: 168 registers a thread on sm_90; twice as many do not fit


def reduce_stacked(logits: Tensor, task: Task) -> Reduced:
    """Reduce the logits (M, N, C, h, w) of a batch, contiguous; the maps by class are not kept."""
    members, n, classes, height, width = logits.shape
    positions, padded = height * width, triton.next_power_of_2(classes)
    block = max(16, _TILE // padded)
    blocks = triton.cdiv(positions, block)
    new: Any = logits.new_empty
    maps = new((n, len(quantities_of(task)), height, width), dtype=torch.float32)
    sums = new((n, blocks, len(class_quantities_of(task)), classes), dtype=torch.float32)
    entropies = new((n, blocks, members), dtype=torch.float32)
    argmax = new((n, height, width), dtype=torch.int64)
    kernel = reduce_independent if has_independent_classes(task) else reduce_softmax
    kernel[(n, blocks)](
        logits, maps, sums, entropies, argmax, members, n, classes, positions, blocks, SMALLEST, ROUNDING, TIE,
        padded=padded, block=block, enable_fp_fusion=True,
    )  # fmt: skip
    not_kept = new((n, classes, 0, 0), dtype=torch.float32)
    return Reduced(
        task,
        maps,
        sums.sum(1, dtype=torch.float64),
        entropies.sum(1, dtype=torch.float64) / positions,
        argmax,
        not_kept,
        not_kept,
    )
