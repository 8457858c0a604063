"""What enlarges logits at the very end of a network is recognised, and nothing else is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.ensembles.native import native_logits
from fleetsift.engines.graphs.fuse import fuse
from tests.engines.drawn_networks import Drawn, draw_network, write_ensemble


def end_with(*nodes: onnx.NodeProto, shape: tuple[int, ...] = (1, 3, 4, 6)) -> onnx.ModelProto:
    """A network whose last nodes lead from `head` to `logits`."""
    weights = {
        "double": np.array([1, 1, 2, 2], np.float32),
        "half": np.array([1, 1, 0.5, 0.5], np.float32),
        "more_classes": np.array([1, 2, 2, 2], np.float32),
        "kernel": np.ones((3, 3, 2, 2), np.float32),
    }
    graph = helper.make_graph(
        [helper.make_node("Relu", ["images"], ["head"]), *nodes],
        "ends",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        initializer=[numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def resize(value: str, resized: str, scales: str = "double") -> onnx.NodeProto:
    return helper.make_node("Resize", [value, "", scales], [resized], mode="linear")


@pytest.mark.parametrize(
    "network",
    [
        end_with(resize("head", "logits")),
        end_with(resize("head", "a"), resize("a", "logits")),
        end_with(resize("head", "a"), helper.make_node("Identity", ["a"], ["logits"])),
        end_with(helper.make_node("Dropout", ["head"], ["a"]), resize("a", "logits")),
    ],
    ids=["one", "two in a row", "passed on", "dropout that is off"],
)
def test_what_is_enlarged_at_the_end_is_the_native_answer(network: onnx.ModelProto) -> None:
    assert native_logits(network, "logits") == "head"


@pytest.mark.parametrize(
    "network",
    [
        end_with(helper.make_node("Neg", ["head"], ["logits"])),
        end_with(helper.make_node("Identity", ["head"], ["logits"])),
        end_with(resize("head", "a"), helper.make_node("Neg", ["a"], ["logits"])),
        end_with(resize("head", "logits", "half")),
        end_with(resize("head", "logits", "more_classes")),
        end_with(helper.make_node("ConvTranspose", ["head", "kernel"], ["logits"], strides=[2, 2])),
    ],
    ids=["no end", "passed on only", "more follows", "shrinks", "classes too", "has weights"],
)
def test_anything_else_is_not(network: onnx.ModelProto) -> None:
    assert native_logits(network, "logits") is None


def test_drawn_networks_say_it_themselves() -> None:
    network = draw_network(Drawn())
    assert native_logits(network, "logits") == "native"
    assert native_logits(network, "native") is None


def test_an_ensemble_file_need_not_name_native_logits(tmp_path: Path) -> None:
    named, unnamed = (
        fuse(read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)], output=output))).graph
        for output in ({"native": "native"}, {})
    )
    assert [node.op_type for node in unnamed.node] == [node.op_type for node in named.node]
    assert "Resize" not in {node.op_type for node in unnamed.node}


def test_real_networks(shared_data: Path) -> None:
    """Exported from torch, whose `interpolate` computes the size from the input's."""
    for member in json.loads((shared_data / "models" / "models.json").read_text())["camvid"]["members"]:
        network = onnx.load(shared_data / "models" / member["file"])
        writers = {name: node for node in network.graph.node for name in node.output}
        found = native_logits(network, "logits")
        assert found is not None
        assert found == "native" or writers["native"].input[0] == found
