"""The fused graph: what it keeps, what it leaves out, what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.ensembles.nodes import needed_nodes, rename
from fleetsift.engines.graphs.fuse import fuse
from fleetsift.errors import EnsembleError
from tests.engines.drawn_networks import CLASSES, Drawn, draw_network, write_ensemble

SMALLER = {"input": {"height": 8, "width": 12}}


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def outputs(model: onnx.ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def test_it_takes_bytes_and_gives_every_members_logits_and_one_embedding(tmp_path: Path) -> None:
    fused = fuse(read_ensemble(write_ensemble(tmp_path, [Drawn(m) for m in range(3)])))
    onnx.checker.check_model(fused, full_check=True)
    (frames,) = fused.graph.input
    assert frames.type.tensor_type.elem_type == TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in frames.type.tensor_type.shape.dim] == ["N", 16, 24, 3]
    assert outputs(fused) == ["logits_0", "logits_1", "logits_2", "embedding"]


def test_native_leaves_out_what_enlarges_and_other_embeddings(tmp_path: Path) -> None:
    members = [Drawn(m) for m in range(3)]
    native = operators(fuse(read_ensemble(write_ensemble(tmp_path, members, embedding_member=1))))
    assert native["Resize"] == 0
    assert native["GlobalAveragePool"] == 1
    full = operators(fuse(read_ensemble(write_ensemble(tmp_path, members, resolution="full"))))
    assert full["Resize"] == 3


def test_only_the_weights_that_are_needed_are_kept(tmp_path: Path) -> None:
    fused = fuse(read_ensemble(write_ensemble(tmp_path, [Drawn()], output={"native": "native"})))
    kept = {weight.name for weight in fused.graph.initializer}
    assert kept == {
        "member_0/features.weight",
        "member_0/features.bias",
        "member_0/head.weight",
        "member_0/sum.weight",
        "member_0/one",
        "divisor_0",
        "shift_0",
    }


def test_frames_are_prepared_once_for_every_kind_of_input(tmp_path: Path) -> None:
    members = [Drawn(0), Drawn(1, spec={"input": {"height": 16, "width": 24, "channels": "bgr"}}), Drawn(2)]
    found = operators(fuse(read_ensemble(write_ensemble(tmp_path, members, output={"native": "native"}))))
    assert found["Cast"] == found["Transpose"] == found["Gather"] == 1
    assert found["Sub"] == 2 + len(members)  # each drawn network has one of its own


def test_it_says_what_it_is(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()]))
    said = {entry.key: entry.value for entry in fuse(ensemble).metadata_props}
    assert said["ensemble_id"] == ensemble.ensemble_id
    assert tuple(json.loads(said["classes"])) == CLASSES


def test_the_same_ensemble_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1, size=(8, 12), spec=SMALLER)], resolution="full")
    ensemble = read_ensemble(path)
    first, again, other = (
        fuse(e).SerializeToString(deterministic=True) for e in (ensemble, ensemble, read_ensemble(path))
    )
    assert first == again == other


def test_members_of_older_opsets_are_brought_to_the_newest(tmp_path: Path) -> None:
    fused = fuse(read_ensemble(write_ensemble(tmp_path, [Drawn(0, opset=13), Drawn(1, opset=19)])))
    assert [(opset.domain, opset.version) for opset in fused.opset_import] == [("", 19)]
    onnx.checker.check_model(fused, full_check=True)


def test_shrinking_needs_an_opset_that_can_average(tmp_path: Path) -> None:
    members = [Drawn(0, opset=13), Drawn(1, size=(8, 12), opset=13, spec=SMALLER)]
    fused = fuse(read_ensemble(write_ensemble(tmp_path, members, resolution="full")))
    assert fused.opset_import[0].version == 18
    onnx.checker.check_model(fused, full_check=True)


def with_other_operators(ensemble: Ensemble, versions: list[int]) -> Ensemble:
    for network, version in zip(ensemble.networks, versions, strict=True):
        network.opset_import.append(helper.make_opsetid("com.example", version))
    return ensemble


def test_members_must_agree_on_other_operators(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)]))
    with pytest.raises(EnsembleError, match=r"members\[1\] .* expected version 1 of the operators com\.example"):
        fuse(with_other_operators(ensemble, [1, 2]))


def test_a_network_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0, opset=13), Drawn(1)]))
    ensemble.networks[0].graph.node[0].op_type = "Convolution"
    with pytest.raises(EnsembleError, match=r"members\[0\] \(drawn_0\.onnx\): expected a network that converts from"):
        fuse(ensemble)


def conditional_graph() -> onnx.GraphProto:
    """y = x + w in one branch and x in the other; both branches take x and w from outside."""
    branches = {
        "then_branch": helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["sum"])],
            "then",
            [],
            [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1])],
        ),
        "else_branch": helper.make_graph(
            [helper.make_node("Identity", ["x"], ["same"])],
            "else",
            [],
            [helper.make_tensor_value_info("same", TensorProto.FLOAT, [1])],
        ),
    }
    return helper.make_graph(
        [
            helper.make_node("Relu", ["raw"], ["x"], name="relu"),
            helper.make_node("Neg", ["raw"], ["unused"]),
            helper.make_node("If", ["condition"], ["y"], **branches),
        ],
        "conditional",
        [
            helper.make_tensor_value_info("raw", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        initializer=[numpy_helper.from_array(np.ones(1, np.float32), "w")],
    )


def test_what_branches_take_from_outside_is_needed_too() -> None:
    assert [node.op_type for node in needed_nodes(conditional_graph(), ["y"])] == ["Relu", "If"]


def test_names_inside_branches_are_renamed_with_those_outside() -> None:
    graph = conditional_graph()
    rename(graph, "own/", {"raw": "input", "y": "result"})
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in [*graph.input, *graph.output]] == ["input", "own/condition", "result"]
    then = next(attribute.g for attribute in graph.node[2].attribute if attribute.name == "then_branch")
    assert list(then.node[0].input) == ["own/x", "own/w"]


def test_a_drawn_network_has_what_the_tests_speak_of() -> None:
    assert outputs(draw_network(Drawn())) == ["logits", "native", "embedding"]
