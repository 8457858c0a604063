"""What members say of positions where one of the classes is the answer: `formulas.uncertainty` in float32."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fleetsift.engines.modules.blocks import first_class, row_blocks
from fleetsift.engines.modules.reduced import SMALLEST, Reduced, clip_rounding
from fleetsift.engines.rows import CLASS_QUANTITIES, TIE
from fleetsift.schemas.scores import QUANTITIES, Task


@dataclass(slots=True)
class SoftmaxSums:
    """What the members so far have said of the positions."""

    task: Task
    block: int  # logits worked on at once
    p: Tensor  # (N, C, h, w)
    p_log_p: Tensor  # (N, C, h, w)
    votes: list[Tensor] = field(default_factory=list)  # (N, h, w) int16 a member
    entropies: list[Tensor] = field(default_factory=list)  # (N,) float64 a member, summed over the positions

    @classmethod
    def like(cls, logits: Tensor, task: Task, block: int) -> SoftmaxSums:
        """Room for members whose answers are as large as this one's."""
        zeros = torch.zeros_like(logits, dtype=torch.float32)
        return cls(task, block, zeros, zeros.clone())

    def add(self, logits: Tensor) -> None:
        """Add one member's answer (N, C, h, w)."""
        n, _, height, width = logits.shape
        vote = torch.empty((n, height, width), dtype=torch.int16, device=logits.device)
        entropy = torch.zeros(n, dtype=torch.float64, device=logits.device)
        for rows in row_blocks(logits, self.block):
            z = logits[:, :, rows].float()
            z = z - z.amax(1, keepdim=True)
            vote[:, rows] = first_class(z >= 0).short()
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
        sums = self.p.new_zeros((n, len(CLASS_QUANTITIES), classes), dtype=torch.float64)
        argmax = self.p.new_empty((n, height, width), dtype=torch.int64)
        numbers = torch.arange(classes, device=self.p.device)[:, None, None]
        for rows in row_blocks(self.p, self.block):
            p = self.p[:, :, rows].div_(members)
            p_log_p = self.p_log_p[:, :, rows].div_(members)
            entropy = -p * p.clamp(SMALLEST, 1).log_()
            expected_entropy = -p_log_p.sum(1)
            share = p_log_p.add_(entropy)  # in the place of p log p, which has said what it had to
            information = clip_rounding(share.sum(1))  # not H - E: the small shares of many classes add up better
            first, second = p.topk(2, dim=1).values.unbind(1)
            winner = argmax[:, rows] = first_class(p >= first[:, None] - TIE)
            for q, values in enumerate((entropy, share, p, numbers == winner[:, None])):
                sums[:, q] += values.sum((2, 3), dtype=torch.float64)
            found = {
                "entropy": entropy.sum(1),
                "expected_entropy": expected_entropy,
                "mutual_information": information,
                "variation_ratio": _variation_ratio([vote[:, rows] for vote in self.votes]),
                "least_confidence": 1 - first.clamp(0, 1),
                "margin": 1 - (first - second).clamp(0, 1),
            }
            maps[:, :, rows] = torch.stack([found[quantity] for quantity in QUANTITIES], 1)
            p.copy_(entropy)  # in the place of P
        entropies = torch.stack(self.entropies, 1) / (height * width)
        return Reduced(self.task, maps, sums, entropies, argmax, self.p, self.p_log_p)


def _variation_ratio(votes: list[Tensor]) -> Tensor:
    """Every member counts those who vote as it does, itself among them; the highest count wins."""
    together = torch.stack(votes)
    most = torch.stack([(together == vote).sum(0) for vote in votes]).amax(0)
    return 1 - most.float() / len(votes)
