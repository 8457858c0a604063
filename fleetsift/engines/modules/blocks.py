"""Tensors over the positions of frames, worked on some rows at a time: scratch is small for any size of map."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 1 << 21  # logits worked on at once


def row_blocks(logits: Tensor, block: int) -> Iterator[slice]:
    """The rows of maps (N, C, h, w), in blocks of about so many logits."""
    n, classes, height, width = logits.shape
    rows = max(1, block // (n * classes * width))
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def first_class(condition: Tensor) -> Tensor:
    """The first class for which a condition (N, C, h, w) holds; not by `argmax`, whose ties every device breaks."""
    classes = condition.shape[1]
    numbers = torch.arange(classes, device=condition.device)[:, None, None]
    return torch.where(condition, numbers, classes).amin(1)
