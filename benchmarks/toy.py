"""A six-layer segmentation network of output stride 8, as an ONNX file and as a torch module with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fleetsift.engines.ensembles.networks import network_sha256

CLASSES = 19
STRIDE = 8
_LAYERS = ((3, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1), (64, 64, 1))  # (channels in, out, stride), 3 x 3
_SPREAD = 4.0  # of the logits: as sure of most pixels as trained networks are

Weights = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def draw_weights(seed: int) -> Weights:
    """Random weights that keep activations at the size of the input."""
    random = np.random.default_rng(seed)
    drawn = {
        f"w{layer}": random.normal(size=(wider, channels, 3, 3)) * (2 / (9 * channels)) ** 0.5
        for layer, (channels, wider, _) in enumerate(_LAYERS)
    }
    drawn["head"] = random.normal(size=(CLASSES, _LAYERS[-1][1], 1, 1)) * _SPREAD / 4
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def build_network(
    weights: Weights, size: tuple[int, int], *, softmax: bool = False, refines: bool = False
) -> onnx.ModelProto:
    """`images` (N, 3, H, W) to `native` logits at stride 8 and `logits` at full size, or `probabilities` as well.

    refines: a convolution at full size comes last, so that nothing can be left to whoever reduces the logits.
    """
    nodes, value = [], "images"
    for layer, (_, _, stride) in enumerate(_LAYERS):
        nodes.append(helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1] * 4, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value = f"r{layer}"
    nodes.append(helper.make_node("Conv", [value, "head"], ["native"]))
    enlarged = "enlarged" if refines else "logits"
    nodes.append(helper.make_node("Resize", ["native", "", "scales"], [enlarged], mode="linear"))
    if refines:
        nodes.append(helper.make_node("Conv", ["enlarged", "refinement"], ["logits"]))
    outputs = {"native": (size[0] // STRIDE, size[1] // STRIDE), "logits": size}
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
        outputs = {"probabilities": size}
    initializer = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    initializer.append(numpy_helper.from_array(np.array([1, 1, STRIDE, STRIDE], np.float32), "scales"))
    if refines:
        kernel = np.eye(CLASSES, dtype=np.float32).reshape(CLASSES, CLASSES, 1, 1)
        initializer.append(numpy_helper.from_array(kernel, "refinement"))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, *size])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", CLASSES, *shape])
            for name, shape in outputs.items()
        ],
        initializer=initializer,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def write_toys(
    folder: Path, members: int, size: tuple[int, int], resolution: str = "native", *, refines: bool = False
) -> Path:
    """The ensemble file of so many toys of one size."""
    files, kind = [], "refined" if refines else "toy"
    for m in range(members):
        files.append(folder / f"{kind}_{size[0]}x{size[1]}_{m}.onnx")
        onnx.save(build_network(draw_weights(m), size, refines=refines), files[-1])
    spec = {
        "name": "toy",
        "classes": [f"class_{c}" for c in range(CLASSES)],
        "members": [{"file": file.name, "sha256": network_sha256(file)} for file in files],
        "input": {"height": size[0], "width": size[1]},
        "output": {"full": "logits", "native": "native"},
        "resolution": resolution,
    }
    path = folder / f"{kind}_{size[0]}x{size[1]}_m{members}_{resolution}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


class ToyModule(nn.Module):
    """The same network in torch."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.kernels = nn.ParameterList([torch.from_numpy(weights[f"w{layer}"]) for layer in range(len(_LAYERS))])
        self.head = nn.Parameter(torch.from_numpy(weights["head"]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, H, W) to logits (N, C, H, W)."""
        value = images
        for kernel, (_, _, stride) in zip(self.kernels, _LAYERS, strict=True):
            value = nn.functional.conv2d(value, kernel, stride=stride, padding=1).relu()
        native = nn.functional.conv2d(value, self.head)
        return nn.functional.interpolate(native, scale_factor=STRIDE, mode="bilinear")
