"""Writes trained networks as ONNX files, and the ensemble file that names them. The graph is built by hand:
a few plain operators that every runtime has, and no exporter to depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fleetsift.demo.drawing.camera import HEIGHT, WIDTH
from fleetsift.demo.network import CONVOLUTIONS, EMBEDDING_SIZE, MEAN, NATIVE_STRIDE, STD, Answer, answer
from fleetsift.demo.world import CLASSES
from fleetsift.engines.ensembles.networks import network_sha256

OPSET, IR_VERSION = 17, 9  # old enough for every runtime that is still in use

F32 = NDArray[np.float32]


class Weights(NamedTuple):
    """Of one convolution, its normalisation folded in."""

    kernel: F32  # (outputs, inputs, size, size)
    bias: F32  # (outputs,)


@dataclass(slots=True)
class OnnxGraph:
    """The backend that writes what it is asked to compute; its tensors are their names."""

    weights: Mapping[str, Weights]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, F32] = field(default_factory=dict)

    def normalise(self, images: str) -> str:
        mean, std = (np.array(values, dtype=np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
        return self._node(
            "Div", [self._node("Sub", [images, self._constant("mean", mean)]), self._constant("std", std)]
        )

    def convolve(self, planes: str, name: str) -> str:
        layer, weights = CONVOLUTIONS[name], self.weights[name]
        kernel, bias = self._constant(f"{name}.kernel", weights.kernel), self._constant(f"{name}.bias", weights.bias)
        convolved = self._node(
            "Conv",
            [planes, kernel, bias],
            kernel_shape=[layer.size] * 2,
            strides=[layer.stride] * 2,
            dilations=[layer.dilation] * 2,
            pads=[layer.padding] * 4,
        )
        return self._node("Relu", [convolved]) if layer.activated else convolved

    def enlarge(self, planes: str, factor: int) -> str:
        scales = self._constant(f"times_{factor}", np.array([1, 1, factor, factor], dtype=np.float32))
        return self._node("Resize", [planes, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")

    def add(self, one: str, other: str) -> str:
        return self._node("Add", [one, other])

    def pool(self, planes: str) -> str:
        return self._node("Flatten", [self._node("GlobalAveragePool", [planes])])

    def _constant(self, name: str, values: F32) -> str:
        self.constants[name] = values
        return name

    def _node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def build_network(weights: Mapping[str, Weights]) -> onnx.ModelProto:
    """One network as ONNX: `images` in; `logits`, `native` and `embedding` out, with any number of images."""
    graph = OnnxGraph(weights)
    found = answer(graph, "images")
    for ours, name in zip(found, Answer._fields, strict=True):
        graph.nodes.append(helper.make_node("Identity", [ours], [name], name=name))
    classes = len(CLASSES)
    outputs = [
        _tensor("logits", classes, HEIGHT, WIDTH),
        _tensor("native", classes, HEIGHT // NATIVE_STRIDE, WIDTH // NATIVE_STRIDE),
        _tensor("embedding", EMBEDDING_SIZE),
    ]
    constants = [numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "segmentation", [_tensor("images", 3, HEIGHT, WIDTH)], outputs, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fleetsift.demo",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def write_ensemble(folder: Path, members: Sequence[Mapping[str, Weights]]) -> Path:
    """Write every member as member_1.onnx, … and the ensemble file beside them; answers the ensemble file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"member_{number}.onnx" for number in range(1, len(members) + 1)]
    for file, weights in zip(files, members, strict=True):
        onnx.save(build_network(weights), file)
    spec = {
        "name": "demo",
        "task": "semantic_segmentation",
        "classes": list(CLASSES),
        "input": {"height": HEIGHT, "width": WIDTH, "channels": "rgb", "scale": 255.0},
        "output": {name if name != "logits" else "full": name for name in Answer._fields},
        "resolution": "native",
        "regions": {"rows": 3, "columns": 4},
        "members": [{"file": file.name, "sha256": network_sha256(file)} for file in files],
    }
    path = folder / "ensemble.yaml"
    header = "# Tiny segmentation networks for the demo's drawn streets; training.json says how they were made.\n"
    path.write_text(header + yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return path


def _tensor(name: str, *sizes: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *sizes])
