"""A network of BiSeNetV2's class (Yu et al. 2021), with random weights, as ONNX: two branches, one wide and shallow,
one narrow and deep, that meet at an eighth of the frame's size. Normalisations are folded into the convolutions, as
they are where networks serve; the heads that only training needs are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 19
STRIDE = 8


@dataclass(slots=True)
class _Drawing:
    """A graph in the making; values are named by their number, and their channels are known."""

    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=lambda: {"images": 3})

    def add(self, operator: str, *values: str, channels: int = 0, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(values), [name], **attributes))
        self.channels[name] = channels or self.channels[values[0]]
        return name

    def call_last(self, name: str) -> None:
        self.channels[name] = self.channels[self.nodes[-1].output[0]]
        self.nodes[-1].output[0] = name

    def weight(self, values: np.ndarray, name: str) -> str:
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, value: str, wider: int, size: int = 3, stride: int = 1, *, each: bool = False) -> str:
        """A convolution with a bias; `each`: every channel by itself."""
        narrow = 1 if each else self.channels[value]
        number = len(self.weights)
        kernel = self.random.normal(size=(wider, narrow, size, size)) * (2 / (narrow * size * size)) ** 0.5
        w = self.weight(kernel, f"w{number}")
        b = self.weight(self.random.normal(size=wider) / 10, f"b{number}")
        group = self.channels[value] if each else 1
        pads, strides = [size // 2] * 4, [stride] * 2
        return self.add("Conv", value, w, b, channels=wider, pads=pads, strides=strides, group=group)

    def conv_relu(self, value: str, wider: int, size: int = 3, stride: int = 1) -> str:
        return self.add("Relu", self.conv(value, wider, size, stride))

    def enlarge(self, value: str, factor: int) -> str:
        scales = self.weight(np.array([1, 1, factor, factor]), f"scales{len(self.weights)}")
        return self.add("Resize", value, "", scales, mode="linear")


def build_bisenet(seed: int, size: tuple[int, int]) -> onnx.ModelProto:
    """`images` (N, 3, H, W) to `native` logits at stride 8 and `logits` at full size."""
    draw = _Drawing(np.random.default_rng(seed))
    draw.conv(draw.conv_relu(_meet(draw, _detail(draw), _semantics(draw)), 1024), CLASSES, 1)
    draw.call_last("native")
    draw.enlarge("native", STRIDE)
    draw.call_last("logits")
    shapes = {"native": (size[0] // STRIDE, size[1] // STRIDE), "logits": size}
    graph = helper.make_graph(
        draw.nodes,
        "bisenet",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, *size])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", CLASSES, *shape]) for n, shape in shapes.items()],
        initializer=draw.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _detail(draw: _Drawing) -> str:
    value = "images"
    for wider, repeats in ((64, 1), (64, 2), (128, 2)):
        value = draw.conv_relu(value, wider, stride=2)
        for _ in range(repeats):
            value = draw.conv_relu(value, wider)
    return value


def _semantics(draw: _Drawing) -> str:
    stem = draw.conv_relu("images", 16, stride=2)
    halved = draw.conv_relu(draw.conv_relu(stem, 8, 1), 16, stride=2)
    pooled = draw.add("MaxPool", stem, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    value = draw.conv_relu(draw.add("Concat", halved, pooled, channels=32, axis=1), 16)
    for wider, repeats in ((32, 1), (64, 1), (128, 3)):
        value = _gather_and_expand(draw, value, wider, stride=2)
        for _ in range(repeats):
            value = _gather_and_expand(draw, value, wider, stride=1)
    context = draw.conv_relu(draw.add("GlobalAveragePool", value), 128, 1)
    return draw.conv_relu(draw.add("Add", value, context), 128)


def _gather_and_expand(draw: _Drawing, value: str, wider: int, stride: int) -> str:
    narrow = draw.channels[value]
    expanded = draw.conv_relu(value, narrow)
    if stride == 1:
        deep = draw.conv(expanded, 6 * narrow, each=True)
        return draw.add("Relu", draw.add("Add", draw.conv(deep, wider, 1), value))
    deep = draw.conv(draw.conv(expanded, 6 * narrow, stride=2, each=True), 6 * narrow, each=True)
    beside = draw.conv(draw.conv(value, narrow, stride=2, each=True), wider, 1)
    return draw.add("Relu", draw.add("Add", draw.conv(deep, wider, 1), beside))


def _meet(draw: _Drawing, detail: str, semantics: str) -> str:
    """Each branch gates the other, at the size of the one and of the other."""
    fine = draw.conv(draw.conv(detail, 128, each=True), 128, 1)
    coarse = draw.conv(detail, 128, stride=2)
    coarse = draw.add("AveragePool", coarse, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1)
    gate_fine = draw.add("Sigmoid", draw.enlarge(draw.conv(semantics, 128), 4))
    gate_coarse = draw.add("Sigmoid", draw.conv(draw.conv(semantics, 128, each=True), 128, 1))
    met = draw.enlarge(draw.add("Mul", coarse, gate_coarse), 4)
    return draw.conv(draw.add("Add", draw.add("Mul", fine, gate_fine), met), 128)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame costs a network at its native size, whoever runs it."""

    flops: float  # a multiplication and an addition count as two; of convolutions, where nearly all are
    values: float  # read and written, if every node reads its inputs and writes its output once; fused nodes need fewer


def count_cost(network: onnx.ModelProto) -> Cost:
    """Count over the nodes up to `native`."""
    one = onnx.ModelProto()
    one.CopyFrom(network)
    one.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for output in one.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    shapes = {w.name: tuple(w.dims) for w in inferred.initializer}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    flops = values = 0.0
    for node in inferred.node:
        answer = np.prod(shapes[node.output[0]])
        if "logits" in node.output:
            continue
        if node.op_type == "Conv":
            flops += 2 * answer * np.prod(shapes[node.input[1]][1:])
        values += answer + sum(np.prod(shapes[name]) for name in node.input if name)
    return Cost(float(flops), float(values))
