"""The last enlargement is left to the reduction where that gives the same scores, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.graphs.enlargement import left_to_reduction
from tests.engines.drawn_networks import Drawn, write_ensemble

SMALLER = {"input": {"height": 8, "width": 12}}


def shortened(folder: Path, members: list[Drawn], **changes: Any) -> Any:
    return left_to_reduction(read_ensemble(write_ensemble(folder, members, **{"resolution": "full", **changes})))


@pytest.mark.parametrize("opset", [13, 18, 20])
def test_linear_enlargement_by_a_power_of_two_is_left(tmp_path: Path, opset: int) -> None:
    found = shortened(tmp_path, [Drawn(m, opset=opset) for m in range(3)])
    assert found.spec.resolution == "native"
    assert [found.spec.output_of(member).native for member in found.spec.members] == ["native"] * 3


def test_it_is_recognised_where_the_file_has_no_name_for_it(tmp_path: Path) -> None:
    assert shortened(tmp_path, [Drawn()], output={"full": "logits"}).spec.members[0].output.native == "native"


@pytest.mark.parametrize(
    ("members", "changes"),
    [
        ([Drawn()], {"resolution": "native"}),
        ([Drawn(0, stride=4), Drawn(1)], {}),
        ([Drawn(0), Drawn(1, size=(8, 12), spec=SMALLER)], {}),
        ([Drawn(activation="Softmax")], {"output": {"full": "logits", "activation": "probabilities"}}),
        ([Drawn(classes=4, spec={"classes": ["road", "car", "van", "person"], "counts_as": {"van": "car"}})], {}),
    ],
    ids=["native already", "other strides", "other inputs", "probabilities", "merged classes"],
)
def test_what_would_give_other_scores_is_not(tmp_path: Path, members: list[Drawn], changes: dict[str, Any]) -> None:
    assert shortened(tmp_path, members, **changes) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "nearest"},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
        {"mode": "cubic"},
    ],
)
def test_other_ways_to_enlarge_are_not(tmp_path: Path, attributes: dict[str, Any]) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()], resolution="full"))
    (resize,) = (node for node in ensemble.networks[0].graph.node if node.op_type == "Resize")
    del resize.attribute[:]
    resize.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    assert left_to_reduction(ensemble) is None


def test_scales_that_are_not_known_are_not(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()], resolution="full"))
    graph = ensemble.networks[0].graph
    (resize,) = (node for node in graph.node if node.op_type == "Resize")
    resize.input[2] = "computed"
    graph.node.insert(0, onnx.helper.make_node("Abs", ["scales"], ["computed"]))
    assert left_to_reduction(ensemble) is None
