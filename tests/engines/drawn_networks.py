"""Tiny networks with random weights, and ensemble files over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from fleetsift.engines.ensembles.networks import network_sha256

CLASSES = ("road", "car", "person")


@dataclass(frozen=True)
class Drawn:
    """One network: a convolution with a stride, a classifier (`native`), its enlargement (`logits`), an embedding."""

    seed: int = 0
    size: tuple[int, int] = (16, 24)
    classes: int = len(CLASSES)
    opset: int = 18
    gain: float = 2.0  # logits are about so large
    breaks_on_white: bool = False  # answers a white frame with infinity
    activation: str = ""  # operator behind the classifier: Softmax, Sigmoid; none
    pooled: bool = False  # `logits` are (N, classes), the mean over the frame
    leading: int = 0  # channels before the classes
    dropout: float | None = None  # ratio of active dropout before the classifier
    stride: int = 2  # 2 or 4: how much smaller the native answer is than the input
    spec: dict[str, Any] = field(default_factory=dict)  # what its entry in the ensemble file adds


def draw_network(drawn: Drawn) -> onnx.ModelProto:
    """Build a network with weights from its seed; all take `images` (N, 3, height, width) float32."""
    random = np.random.default_rng(drawn.seed)
    channels = drawn.leading + drawn.classes
    weights = {
        "features.weight": random.normal(size=(8, 3, 3, 3)) / 3,
        "features.bias": random.normal(size=8),
        "head.weight": random.normal(size=(channels, 8, 1, 1)) * drawn.gain,
        "scales": np.array([1, 1, drawn.stride, drawn.stride]),
        "sum.weight": np.ones((1, 3, 1, 1)),
        "one": np.array(1.0),
    }
    dropout = [] if drawn.dropout is None else _switches(drawn.dropout)
    height, width = drawn.size
    scores = "scores" if drawn.activation else "native"
    answer_shape: list[str | int | None] = ["N", channels] if drawn.pooled else ["N", channels, height, width]
    nodes = [
        helper.make_node(
            "Conv", ["images", "features.weight", "features.bias"], ["a"], pads=[1, 1, 1, 1], strides=[drawn.stride] * 2
        ),
        *_features(drawn),
        helper.make_node("Conv", ["features", "head.weight"], ["head"]),
        helper.make_node("Sub", ["one", "images"], ["darkness"]),
        helper.make_node("GlobalMaxPool", ["darkness"], ["darkest"]),
        helper.make_node("Conv", ["darkest", "sum.weight"], ["distance_from_white"]),
        helper.make_node("Div" if drawn.breaks_on_white else "Sum", ["head", "distance_from_white"], [scores]),
        *_activated(scores, "native", drawn.activation),
        *_answer(drawn),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, height, width])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, answer_shape),
            helper.make_tensor_value_info(
                "native", TensorProto.FLOAT, ["N", channels, height // drawn.stride, width // drawn.stride]
            ),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 8]),
        ],
        initializer=[numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()] + dropout,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", drawn.opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _features(drawn: Drawn) -> list[onnx.NodeProto]:
    if drawn.dropout is None:
        return [helper.make_node("Relu", ["a"], ["features"])]
    return [
        helper.make_node("Relu", ["a"], ["undropped"]),
        helper.make_node("Dropout", ["undropped", "ratio", "active"], ["features"]),
    ]


def _switches(ratio: float) -> list[onnx.TensorProto]:
    return [
        numpy_helper.from_array(np.array(ratio, np.float32), "ratio"),
        numpy_helper.from_array(np.array(True), "active"),
    ]


def _activated(scores: str, result: str, activation: str) -> list[onnx.NodeProto]:
    if not activation:
        return []
    attributes: dict[str, Any] = {"axis": 1} if activation == "Softmax" else {}
    return [helper.make_node(activation, [scores], [result], **attributes)]


def _answer(drawn: Drawn) -> list[onnx.NodeProto]:
    """The answer at the input's size, or for the whole frame."""
    if not drawn.pooled:
        return [helper.make_node("Resize", ["native", "", "scales"], ["logits"], mode="linear")]
    scores, flat = ("scores", "flat_scores") if drawn.activation else ("native", "logits")
    return [
        helper.make_node("GlobalAveragePool", [scores], ["mean_scores"]),
        helper.make_node("Flatten", ["mean_scores"], [flat]),
        *_activated(flat, "logits", drawn.activation),
    ]


def write_ensemble(folder: Path, members: list[Drawn], **changes: Any) -> Path:
    """Write networks and their ensemble file into a folder; `changes` replaces or adds top-level fields."""
    entries = []
    for m, drawn in enumerate(members):
        file = folder / f"drawn_{m}.onnx"
        onnx.save(draw_network(drawn), file)
        entries.append({"file": file.name, "sha256": network_sha256(file), **drawn.spec})
    height, width = members[0].size
    spec = {
        "name": "drawn",
        "classes": list(CLASSES),
        "members": entries,
        "input": {"height": height, "width": width},
        "output": {"full": "logits", "native": "native", "embedding": "embedding"},
        "resolution": "native",
        "top_share": 0.1,
        **changes,
    }
    path = folder / "ensemble.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def write_altered(folder: Path, network: onnx.ModelProto, **changes: Any) -> Path:
    """An ensemble file over one network that was drawn and then altered."""
    path = write_ensemble(folder, [Drawn()], **changes)
    onnx.save(network, folder / "drawn_0.onnx")
    spec = yaml.safe_load(path.read_text())
    spec["members"][0]["sha256"] = network_sha256(folder / "drawn_0.onnx")
    path.write_text(yaml.safe_dump(spec))
    return path


def draw_enlarged_again() -> onnx.ModelProto:
    """A network that also answers with `larger`, of a size that only running it tells."""
    network = draw_network(Drawn())
    network.graph.node.append(helper.make_node("Abs", ["scales"], ["computed"]))
    network.graph.node.append(helper.make_node("Resize", ["logits", "", "computed"], ["larger"], mode="linear"))
    network.graph.output.append(helper.make_tensor_value_info("larger", TensorProto.FLOAT, None))
    return network


def draw_frames(count: int, size: tuple[int, int] = (16, 24), seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random frames (N, height, width, 3), none of them white."""
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)
