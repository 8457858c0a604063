"""An ONNX network as a torch module with the same weights: the few operators that the benchmarks' networks use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional


class Interpreted(nn.Module):
    """Images (N, 3, H, W) to the tensor `answer`, node by node."""

    def __init__(self, network: onnx.ModelProto, answer: str) -> None:
        super().__init__()
        self._answer = answer
        self._scales: dict[str, list[float]] = {}
        for weight in network.graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(weight).copy())
            if weight.name.startswith("scales"):
                self._scales[weight.name] = values.tolist()[2:]
            else:
                self.register_buffer(weight.name, values)
        self._nodes = [
            (
                node.op_type,
                tuple(node.input),
                node.output[0],
                {a.name: helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in network.graph.node
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Run the nodes up to the answer."""
        values: dict[str, Any] = {"images": images, "": None, **dict(self.named_buffers()), **self._scales}
        for operator, inputs, output, attributes in self._nodes:
            values[output] = _OPERATORS[operator](attributes, *(values[name] for name in inputs))
            if output == self._answer:
                break
        found: Tensor = values[self._answer]
        return found


def _conv(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    return functional.conv2d(x, w, b, stride=a["strides"], padding=a["pads"][:2], groups=a.get("group", 1))


def _resize(_: dict[str, Any], x: Tensor, _region: None, scales: list[float]) -> Tensor:
    return functional.interpolate(x, scale_factor=scales, mode="bilinear", align_corners=False)


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda _, a, b: a + b,
    "AveragePool": lambda a, x: functional.avg_pool2d(x, a["kernel_shape"], a["strides"], a["pads"][:2]),
    "Concat": lambda a, *parts: torch.cat(parts, dim=a["axis"]),
    "Conv": _conv,
    "GlobalAveragePool": lambda _, x: x.mean(dim=(2, 3), keepdim=True),
    "MaxPool": lambda a, x: functional.max_pool2d(x, a["kernel_shape"], a["strides"], a["pads"][:2]),
    "Mul": lambda _, a, b: a * b,
    "Relu": lambda _, x: functional.relu(x),
    "Resize": _resize,
    "Sigmoid": lambda _, x: torch.sigmoid(x),
}
