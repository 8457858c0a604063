"""What people write in torch: a module for each member, eager, on the CPU, at full size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_EPSILON = 1e-12


class ModulesInTorch:
    """A module for each member; torch takes the threads it takes by default."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = [module.eval() for module in modules]

    @torch.inference_mode()
    def score(self, frame: NDArray[np.uint8]) -> tuple[float, ...]:
        """Entropy mean and highest, mutual information mean and highest."""
        image = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        probs = torch.cat([module(image).softmax(dim=1) for module in self._modules])
        mean_probs = probs.mean(dim=0)
        entropy = -(mean_probs * (mean_probs + _EPSILON).log()).sum(dim=0)
        expected_entropy = -(probs * (probs + _EPSILON).log()).sum(dim=1).mean(dim=0)
        information: Any = entropy - expected_entropy
        return entropy.mean().item(), entropy.max().item(), information.mean().item(), information.max().item()
