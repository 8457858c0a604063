"""The one-pass reduction in torch, on whatever device the logits are: member after member, block of rows after block.

The formulas are those of `uncertainty` in float32, arranged as in `graphs.reduction`; sums over positions are float64.
What is held is the running sums over the members and the scratch of one block, however many members there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fleetsift.engines.graphs.reduction import BY_CLASS, MEMBER_ENTROPIES, REGION_ARGMAX, REGIONS, STATISTICS
from fleetsift.engines.rows import CLASS_QUANTITIES, TIE
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import QUANTITIES, REGION_QUANTITIES

SMALLEST = 1e-36  # stands for a probability of zero: p log p is zero to any precision
ROUNDING = -1e-6  # a mutual information between this and zero is zero

BLOCK = 1 << 21  # logits worked on at once


@dataclass(frozen=True, slots=True)
class Reduced:
    """What the logits of N frames come down to."""

    maps: Tensor  # (N, quantity, h, w) float32, in the order of QUANTITIES
    class_sums: Tensor  # (N, quantity, C) float64 over the positions, in the order of CLASS_QUANTITIES
    member_entropies: Tensor  # (N, M) nats, means over the positions; NaN where a member's logits are not finite
    argmax: Tensor  # (N, h, w) int64
    class_information: Tensor  # (N, C, h, w) nats
    p: Tensor  # (N, C, h, w); empty where only scores are asked for


def reduce_members(members: Iterable[Tensor], block: int = BLOCK) -> Reduced:
    """Reduce logits (N, C, h, w), one tensor a member.

    block: how many logits are worked on at once. Raises ValueError where there are no members.
    """
    sums: _Sums | None = None
    for logits in members:
        sums = _Sums.of(logits, block) if sums is None else sums
        sums.add(logits)
    if sums is None:
        raise ValueError("reduce_members: expected at least one member, got none")
    return sums.finish()


def class_entropy(p: Tensor) -> Tensor:
    """-P log P of each class, in nats."""
    return -p * p.clamp(SMALLEST, 1).log_()


def answers_of(reduced: Reduced, regions: RegionSpec, top_share: float) -> dict[str, Tensor]:
    """From maps to what a graph of `fuse_scores` answers, by name."""
    maps = reduced.maps
    positions = maps.shape[2] * maps.shape[3]
    flat = maps.flatten(2)
    top = flat.topk(math.ceil(top_share * positions), sorted=False).values
    statistics = [flat.mean(2, dtype=torch.float64), flat.amax(2), top.mean(2, dtype=torch.float64)]
    kept = [maps[:, QUANTITIES.index(quantity)] for quantity in REGION_QUANTITIES]
    return {
        STATISTICS: torch.stack([values.float() for values in statistics], 2),
        BY_CLASS: (reduced.class_sums / positions).float(),
        REGIONS: torch.stack([_region_means(values, regions) for values in kept], 1),
        REGION_ARGMAX: _class_shares(reduced, regions),
        MEMBER_ENTROPIES: reduced.member_entropies.float(),
    }


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


@dataclass(slots=True)
class _Sums:
    """What the members so far have said of the positions."""

    p: Tensor  # (N, C, h, w)
    p_log_p: Tensor  # (N, C, h, w)
    votes: list[Tensor]  # (N, h, w) int16 a member
    entropies: list[Tensor]  # (N,) float64 a member, summed over the positions
    block: int  # logits worked on at once

    @classmethod
    def of(cls, logits: Tensor, block: int) -> _Sums:
        zeros = torch.zeros_like(logits, dtype=torch.float32)
        return cls(zeros, zeros.clone(), [], [], block)

    def add(self, logits: Tensor) -> None:
        """Add one member's answer."""
        n, _, height, width = logits.shape
        vote = torch.empty((n, height, width), dtype=torch.int16, device=logits.device)
        entropy = torch.zeros(n, dtype=torch.float64, device=logits.device)
        for rows in _blocks(logits, self.block):
            z = logits[:, :, rows].float()
            z = z - z.amax(1, keepdim=True)
            vote[:, rows] = _first_class(z >= 0).short()
            p = z.exp()
            s = p.sum(1, keepdim=True)
            p /= s
            p_log_p = z.sub_(s.log_()).mul_(p)
            self.p[:, :, rows] += p
            self.p_log_p[:, :, rows] += p_log_p
            entropy -= p_log_p.sum((1, 2, 3), dtype=torch.float64)
        self.votes.append(vote)
        self.entropies.append(entropy)

    def finish(self) -> Reduced:
        """From sums over the members to everything that is said about the positions."""
        members = len(self.votes)
        n, classes, height, width = self.p.shape
        maps = self.p.new_empty((n, len(QUANTITIES), height, width))
        sums = torch.zeros((n, len(CLASS_QUANTITIES), classes), dtype=torch.float64, device=self.p.device)
        argmax = torch.empty((n, height, width), dtype=torch.int64, device=self.p.device)
        for rows in _blocks(self.p, self.block):
            p = self.p[:, :, rows].div_(members)
            p_log_p = self.p_log_p[:, :, rows].div_(members)
            entropy = class_entropy(p)
            maps[:, QUANTITIES.index("entropy"), rows] = entropy.sum(1)
            maps[:, QUANTITIES.index("expected_entropy"), rows] = -p_log_p.sum(1)
            share = p_log_p.add_(entropy)  # in the place of p log p, which has said what it had to
            information = share.sum(1)  # not H - E: the small shares of many classes add up better
            information[(information > ROUNDING) & (information < 0)] = 0
            maps[:, QUANTITIES.index("mutual_information"), rows] = information
            maps[:, QUANTITIES.index("variation_ratio"), rows] = _variation_ratio([v[:, rows] for v in self.votes])
            first, second = p.topk(2, dim=1).values.unbind(1)
            maps[:, QUANTITIES.index("least_confidence"), rows] = 1 - first.clamp(0, 1)
            maps[:, QUANTITIES.index("margin"), rows] = 1 - (first - second).clamp(0, 1)
            winner = _first_class(p >= first[:, None] - TIE)
            argmax[:, rows] = winner
            wins = torch.arange(classes, device=p.device)[:, None, None] == winner[:, None]
            for q, values in enumerate((entropy, share, p, wins)):
                sums[:, q] += values.sum((2, 3), dtype=torch.float64)
        entropies = torch.stack(self.entropies, 1) / (height * width)
        return Reduced(maps, sums, entropies, argmax, self.p_log_p, self.p)


def _blocks(logits: Tensor, block: int) -> Iterator[slice]:
    """Rows of maps (N, C, h, w), in blocks that are small for any size of map."""
    n, classes, height, width = logits.shape
    rows = max(1, block // (n * classes * width))
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def _first_class(condition: Tensor) -> Tensor:
    """The first class for which a condition (N, C, h, w) holds; not by `argmax`, whose ties every device breaks."""
    classes = condition.shape[1]
    numbers = torch.arange(classes, device=condition.device)[:, None, None]
    return torch.where(condition, numbers, classes).amin(1)


def _variation_ratio(votes: list[Tensor]) -> Tensor:
    """Every member counts those who vote as it does, itself among them; the highest count wins."""
    together = torch.stack(votes)
    most = torch.stack([(together == vote).sum(0) for vote in votes]).amax(0)
    return 1 - most.float() / len(votes)
