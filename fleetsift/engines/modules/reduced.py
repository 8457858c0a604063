"""What the logits of a batch come down to on a device, and from it what a graph of `graphs.reduction` answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fleetsift.engines.graphs.reduction import BY_CLASS, MEMBER_ENTROPIES, REGION_ARGMAX, REGIONS, STATISTICS
from fleetsift.engines.rows import class_quantities_of
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import REGION_QUANTITIES, Task, quantities_of

SMALLEST = 1e-36  # stands for a probability of zero: p log p is zero to any precision
ROUNDING = -1e-6  # a mutual information between this and zero is zero


@dataclass(frozen=True, slots=True)
class Reduced:
    """What the logits of N frames come down to; the maps by class are empty where only scores are asked for."""

    task: Task
    maps: Tensor  # (N, quantity, h, w) float32, in the order of `quantities_of(task)`
    class_sums: Tensor  # (N, quantity, C) float64 over the positions, in the order of `class_quantities_of(task)`
    member_entropies: Tensor  # (N, M) nats, means over the positions; NaN where a member's logits are not finite
    argmax: Tensor  # (N, h, w) int64
    class_entropy: Tensor  # (N, C, h, w) nats
    class_information: Tensor  # (N, C, h, w) nats

    def map_of(self, quantity: str) -> Tensor:
        """The maps (N, h, w) of one quantity."""
        return self.maps[:, quantities_of(self.task).index(quantity)]


def answers_of(reduced: Reduced, regions: RegionSpec | None, top_share: float) -> dict[str, Tensor]:
    """From maps to what a graph of `fuse_scores` answers, by name.

    regions: None where a frame is one position.
    """
    flat = reduced.maps.flatten(2)
    positions = flat.shape[2]
    top = flat.topk(math.ceil(top_share * positions), sorted=False).values
    statistics = [flat.mean(2, dtype=torch.float64), flat.amax(2), top.mean(2, dtype=torch.float64)]
    by_class = reduced.class_sums / positions
    clip_rounding(by_class[:, class_quantities_of(reduced.task).index("mutual_information")])
    answers = {
        STATISTICS: torch.stack([values.float() for values in statistics], 2),
        BY_CLASS: by_class.float(),
        MEMBER_ENTROPIES: reduced.member_entropies.float(),
    }
    if regions:
        kept = [_region_means(reduced.map_of(quantity), regions) for quantity in REGION_QUANTITIES]
        answers[REGIONS] = torch.stack(kept, 1)
    if regions and "argmax" in class_quantities_of(reduced.task):
        answers[REGION_ARGMAX] = _class_shares(reduced, regions)
    return answers


def distances_of(pair: Reduced) -> Tensor:
    """How far apart a view and its mirror image are, (N, distance) in the order of EQUAL_DISTANCES.

    pair: the two alone. The divergence of two softmaxes is the mutual information of the two, and where they vote for
    different classes their variation ratio is a half.
    """
    maps = torch.stack([pair.map_of("mutual_information"), 2 * pair.map_of("variation_ratio")], 1)
    return maps.mean((2, 3), dtype=torch.float64)


def clip_rounding(information: Tensor, most: float = ROUNDING) -> Tensor:
    """What rounding brought below zero is zero, in place; what lies lower than `most` is left to be seen."""
    return information.masked_fill_((information > most) & (information < 0), 0)


def _region_means(values_nhw: Tensor, regions: RegionSpec) -> Tensor:
    """Means over the cells of a grid, (N, rows * columns), rows first."""
    _, height, width = values_nhw.shape
    rows, columns = regions.rows, regions.columns
    cells = [
        values_nhw[:, r * height // rows : (r + 1) * height // rows, q * width // columns : (q + 1) * width // columns]
        for r in range(rows)
        for q in range(columns)
    ]
    return torch.stack([cell.mean((1, 2), dtype=torch.float64) for cell in cells], 1).float()


def _class_shares(reduced: Reduced, regions: RegionSpec) -> Tensor:
    """Of each cell the share of positions where each class has the largest P, (N, rows * columns, C)."""
    n, height, width = reduced.argmax.shape
    classes, cells = reduced.class_sums.shape[2], regions.rows * regions.columns
    numbers = torch.arange(max(height, width), device=reduced.argmax.device)
    row_of = ((numbers[:height] + 1) * regions.rows - 1) // height
    column_of = ((numbers[:width] + 1) * regions.columns - 1) // width
    cell = row_of[:, None] * regions.columns + column_of
    argmax = reduced.argmax.clamp(max=classes - 1)  # beyond, where a member is not finite, and the frame a problem
    places = (cell * classes + argmax).flatten(1)
    counts = torch.zeros(n, cells * classes, device=places.device)
    counts.scatter_add_(1, places, torch.ones_like(places, dtype=torch.float32))  # ones: exact in any order
    counts = counts.reshape(n, cells, classes)
    return counts / counts.sum(2, keepdim=True)
