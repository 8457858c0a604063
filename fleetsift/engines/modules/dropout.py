"""Consistent Monte Carlo dropout in modules, as `graphs.dropout` has it in graphs."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fleetsift.engines.graphs.dropout import dropout_mask

_OF_CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_DROPOUTS = (nn.Dropout, *_OF_CHANNELS)


def drops(module: nn.Module) -> bool:
    """Whether a module has layers that drop values."""
    return any(isinstance(layer, _DROPOUTS) for layer in module.modules())


def masked(module: nn.Module, key: tuple[int, ...]) -> nn.Module:
    """One pass of a module: the same weights, and products with constant masks where it drops values.

    key: of the pass; what each layer drops is drawn from it and the layer's number.
    """
    weights = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    one_pass = copy.deepcopy(module, weights)
    named = one_pass.named_modules(remove_duplicate=False)
    for d, (name, layer) in enumerate([(name, layer) for name, layer in named if isinstance(layer, _DROPOUTS)]):
        parent, _, leaf = name.rpartition(".")
        mask = _Mask(layer.p, of_channels=isinstance(layer, _OF_CHANNELS), key=(*key, d))
        setattr(one_pass.get_submodule(parent), leaf, mask)
    return one_pass


class _Mask(nn.Module):
    """Stands where a layer dropped values; it is drawn when the first values tell their size."""

    def __init__(self, ratio: float, *, of_channels: bool, key: tuple[int, ...]) -> None:
        super().__init__()
        self.ratio, self.of_channels, self.key = ratio, of_channels, key
        self.drawn: dict[tuple[int, ...], Tensor] = {}  # by size

    def forward(self, values: Tensor) -> Tensor:
        _, channels, *inner = values.shape
        size = (1, channels, *(1 if self.of_channels else length for length in inner))
        if size not in self.drawn:
            self.drawn[size] = torch.from_numpy(dropout_mask(size, self.ratio, self.key)).to(values.device)
        return values * self.drawn[size].to(values.dtype)
