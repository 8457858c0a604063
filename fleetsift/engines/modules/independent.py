"""What members say of positions where every class is a question of its own: `formulas.independent` in float32.

With e = exp -|z| and S = 1 + e, the likelier of p and 1 - p is 1 / S and the other e / S, and the entropy of the two is
log S + |z| e / S. Both are summed over the members: of a P near one, 1 - P would keep few digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fleetsift.engines.modules.blocks import first_class, row_blocks
from fleetsift.engines.modules.reduced import ROUNDING, SMALLEST, Reduced, clip_rounding
from fleetsift.engines.rows import TIE, class_quantities_of
from fleetsift.schemas.scores import Task, quantities_of


@dataclass(slots=True)
class IndependentSums:
    """What the members so far have said of each class of the positions."""

    task: Task
    block: int  # logits worked on at once
    yes: Tensor  # (N, C, h, w) p
    no: Tensor  # (N, C, h, w) 1 - p
    expected: Tensor  # (N, C, h, w) nats: h(p)
    entropies: list[Tensor] = field(default_factory=list)  # (N,) float64 a member, summed over the positions

    @classmethod
    def like(cls, logits: Tensor, task: Task, block: int) -> IndependentSums:
        """Room for members whose answers are as large as this one's."""
        zeros = torch.zeros_like(logits, dtype=torch.float32)
        return cls(task, block, zeros, zeros.clone(), zeros.clone())

    def add(self, logits: Tensor) -> None:
        """Add one member's answer (N, C, h, w)."""
        entropy = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
        for rows in row_blocks(logits, self.block):
            z = logits[:, :, rows].float()
            far = z.abs()
            e = (-far).exp_()
            likely = 1 / (1 + e)
            unlikely = e * likely
            h = e.log1p_().add_(far.mul_(unlikely))
            is_likely = z >= 0
            self.yes[:, :, rows] += torch.where(is_likely, likely, unlikely)
            self.no[:, :, rows] += torch.where(is_likely, unlikely, likely)
            self.expected[:, :, rows] += h
            entropy += h.sum((1, 2, 3), dtype=torch.float64)
        self.entropies.append(entropy)

    def finish(self) -> Reduced:
        """From sums over the members to everything that is said about the positions."""
        members = len(self.entropies)
        quantities = quantities_of(self.task)
        n, classes, height, width = self.yes.shape
        maps = self.yes.new_empty((n, len(quantities), height, width))
        sums = self.yes.new_zeros((n, len(class_quantities_of(self.task)), classes), dtype=torch.float64)
        argmax = self.yes.new_empty((n, height, width), dtype=torch.int64)
        for rows in row_blocks(self.yes, self.block):
            yes, no, expected = self.yes[:, :, rows], self.no[:, :, rows], self.expected[:, :, rows].div_(members)
            both = yes + no  # the two make one: were they a rounding off, so would every class's information be
            yes /= both
            no /= both
            entropy = -yes * yes.clamp(SMALLEST, 1).log_() - no * no.clamp(SMALLEST, 1).log_()
            expected_entropy = expected.sum(1)
            share = torch.sub(entropy, expected, out=expected)  # in its place, which has said what it had to
            for q, values in enumerate((entropy, share, yes)):
                sums[:, q] += values.sum((2, 3), dtype=torch.float64)
            found = {
                "entropy": entropy.sum(1),
                "expected_entropy": expected_entropy,
                "mutual_information": clip_rounding(share.sum(1), ROUNDING * classes),
                "least_confidence": torch.minimum(yes, no).sum(1),
            }
            maps[:, :, rows] = torch.stack([found[quantity] for quantity in quantities], 1)
            argmax[:, rows] = first_class(yes >= yes.amax(1, keepdim=True) - TIE)
            yes.copy_(entropy)  # in the place of P
            clip_rounding(share)
        entropies = torch.stack(self.entropies, 1) / (height * width)
        return Reduced(self.task, maps, sums, entropies, argmax, self.yes, self.expected)
