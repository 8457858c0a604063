"""The demo's network as a module of torch, and what serving keeps of it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fleetsift.demo.export import Weights
from fleetsift.demo.network import CONVOLUTIONS, MEAN, STD, Answer, Convolution, answer


class Layer(nn.Module):
    """One convolution, followed by normalisation and ReLU if it is an activated one."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        sizes = (convolution.inputs, convolution.outputs, convolution.size)
        self.plain = nn.Conv2d(
            *sizes, stride=convolution.stride, padding=convolution.padding, dilation=convolution.dilation
        )
        self.norm = nn.BatchNorm2d(convolution.outputs) if convolution.activated else None

    def forward(self, planes: Tensor) -> Tensor:
        planes = self.plain(planes)
        return planes if self.norm is None else functional.relu(self.norm(planes))

    @torch.no_grad()
    def fold(self) -> Weights:
        """What serving needs: the normalisation becomes part of the convolution's weights."""
        kernel: Tensor = self.plain.weight
        bias: Tensor = self.plain.get_parameter("bias")
        if self.norm is not None:
            mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
            gain = self.norm.weight / torch.sqrt(variance + self.norm.eps)
            kernel, bias = kernel * gain[:, None, None, None], (bias - mean) * gain + self.norm.bias
        return Weights(kernel.contiguous().numpy().copy(), bias.numpy().copy())


class Network(nn.Module):
    """The network in torch; also the backend that computes it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: Layer(convolution) for name, convolution in CONVOLUTIONS.items()})
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Answer[Tensor]:
        """images: float32 RGB 0..1, (N, 3, height, width)."""
        return answer(self, images)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - self.get_buffer("mean")) / self.get_buffer("std")

    def convolve(self, planes: Tensor, name: str) -> Tensor:
        convolved: Tensor = self.layers[name](planes)
        return convolved

    def enlarge(self, planes: Tensor, factor: int) -> Tensor:
        return functional.interpolate(planes, scale_factor=factor, mode="bilinear", align_corners=False)

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other

    def pool(self, planes: Tensor) -> Tensor:
        return planes.mean(dim=(2, 3))


def fold(network: Network) -> dict[str, Weights]:
    """The weights of every layer, by name."""
    return {name: layer.fold() for name, layer in network.layers.items() if isinstance(layer, Layer)}


def as_input(image: NDArray[np.uint8]) -> Tensor:
    """One frame (height, width, 3) as the network takes it, (1, 3, height, width), 0..1."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
