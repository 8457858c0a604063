"""NVIDIA's own parser and builder on the fused graphs; without a GPU a plan can be built for a named card, not run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.camvid import write_camvid
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.graphs.half import halve
from fleetsift.engines.graphs.reduction import fuse_maps, fuse_scores
from fleetsift.engines.runtimes.tensorrt import (
    Plan,
    PlanFacts,
    build_plan,
    import_tensorrt,
    keep_plan,
    open_tensorrt_engine,
    plan_facts,
    read_plan,
    write_plan,
)
from fleetsift.errors import ConfigError, EnsembleError, MissingExtra
from tests.engines.drawn_networks import Drawn, write_ensemble

CARD = "sm89"
FACTS = PlanFacts("drawn-1", "0" * 64, 4, "tensorrt-rtx", "1.0", CARD)


@pytest.fixture
def builds_for_absent_cards() -> None:
    """Only tensorrt-rtx does; it is there with `pip install 'fleetsift[tensorrt-rtx]'`."""
    try:
        trt = import_tensorrt()
    except MissingExtra as error:
        pytest.skip(str(error))
    if not hasattr(trt, "ComputeCapability"):
        pytest.skip(f"{trt.__name__} builds only for a GPU that is there")


def scores_of(folder: Path, members: int = 2, *, half: bool = False, resolution: str = "native") -> onnx.ModelProto:
    drawn = [Drawn(m, opset=13 if m else 18) for m in range(members)]
    ensemble = read_ensemble(write_ensemble(folder, drawn, resolution=resolution))
    return fuse_scores(halve(ensemble) if half else ensemble)


@pytest.mark.usefixtures("builds_for_absent_cards")
class TestWithNvidiasBuilder:
    @pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
    @pytest.mark.parametrize("resolution", ["native", "full"])
    def test_plans_are_built_for_a_named_card(self, tmp_path: Path, resolution: str, half: bool) -> None:
        plan = build_plan(scores_of(tmp_path, half=half, resolution=resolution), 4, CARD)
        assert len(plan.content) > 1000
        assert plan.facts.package == "tensorrt-rtx"
        assert (plan.facts.batch, plan.facts.target) == (4, CARD)

    def test_the_graph_of_maps_is_taken_too(self, tmp_path: Path) -> None:
        ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)]))
        assert build_plan(fuse_maps(ensemble), 1, CARD).content

    @pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
    def test_views_and_independent_classes_are_taken_too(self, tmp_path: Path, task: str) -> None:
        path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)], task=task, views=["identity", "hflip"])
        assert build_plan(fuse_scores(read_ensemble(path)), 2, CARD).content

    def test_a_frame_with_more_positions_than_tensorrt_sorts(self, tmp_path: Path) -> None:
        """Its TopK takes k up to 3840; beyond that the reduction halves a bound instead."""
        large = Drawn(0, size=(128, 160))
        ensemble = read_ensemble(write_ensemble(tmp_path, [large], resolution="full", top_share=0.5))
        assert build_plan(fuse_scores(ensemble), 1, CARD).content

    def test_real_networks(self, tmp_path: Path, shared_data: Path) -> None:
        path = write_camvid(tmp_path, shared_data, "native")
        assert build_plan(fuse_scores(halve(read_ensemble(path))), 8, CARD).content

    def test_an_operator_it_does_not_know_is_refused_in_its_own_words(self, tmp_path: Path) -> None:
        graph = scores_of(tmp_path)
        graph.graph.node[-1].op_type = "Unheard"
        with pytest.raises(EnsembleError, match=r"expected operators that TensorRT takes, got .*") as caught:
            build_plan(graph, 1, CARD)
        assert "\n" not in str(caught.value)

    def test_a_card_it_does_not_know_is_refused_with_those_it_does(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"TensorRT target: expected one of .*sm89.*, got sm12345"):
            build_plan(scores_of(tmp_path), 1, "sm12345")

    def test_a_plan_is_built_once_and_again_where_it_is_stale(self, tmp_path: Path) -> None:
        built: list[int] = []

        def build(graph: onnx.ModelProto, batch: int, target: str) -> Plan:
            built.append(batch)
            return Plan(plan_facts(graph, batch, target), b"plan\nof bytes")

        file, graph, other = tmp_path / "x.plan", scores_of(tmp_path), scores_of(tmp_path, members=3)
        first = keep_plan(file, graph, 4, CARD, build)
        assert keep_plan(file, graph, 4, CARD, build) == first == read_plan(file)
        assert built == [4]
        assert keep_plan(file, other, 4, CARD, build).facts.ensemble_id != first.facts.ensemble_id
        assert keep_plan(file, other, 8, CARD, build).facts.batch == 8
        write_plan(replace(first, facts=replace(first.facts, version="0.1")), file)  # another TensorRT's
        assert keep_plan(file, graph, 4, CARD, build) == first
        file.write_bytes(b"cut off")
        assert keep_plan(file, graph, 4, CARD, build) == first
        assert built == [4, 4, 8, 4, 4]

    def test_members_that_take_less_are_shrunk_by_averaging_in_the_plan(self, tmp_path: Path) -> None:
        smaller = {"height": 8, "width": 16}
        members = [Drawn(0), Drawn(1, size=(8, 16), spec={"input": smaller})]
        fused = fuse_scores(read_ensemble(write_ensemble(tmp_path, members)))
        resizes = [node for node in fused.graph.node if node.op_type == "Resize"]
        assert any(a.name == "antialias" and a.i == 1 for node in resizes for a in node.attribute)
        assert build_plan(fused, 2, CARD).content

    def test_boxes_are_taken_too(self, tmp_path: Path) -> None:
        output = {"native": "native", "channels": {"boxes": 0, "classes": 4}}
        path = write_ensemble(
            tmp_path,
            [Drawn(0, leading=4)],
            task="detection_heatmap",
            output=output,
            boxes={"decoding": "fastestdet"},
        )
        assert build_plan(fuse_scores(read_ensemble(path)), 2, CARD).content

    def test_without_a_gpu_the_engine_is_refused(self, tmp_path: Path) -> None:
        ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()]))
        with pytest.raises((ConfigError, EnsembleError), match=r"CUDA device.*: expected"):
            open_tensorrt_engine(ensemble, tmp_path / "plans", device=99)


def test_a_plan_says_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "plans" / "x.plan"
    write_plan(Plan(FACTS, b"bytes\n{}\n"), file)
    assert read_plan(file) == Plan(FACTS, b"bytes\n{}\n")
    assert b'"ensemble_id": "drawn-1"' in file.read_bytes().partition(b"\n")[0]
    assert [path.name for path in file.parent.iterdir()] == ["x.plan"]


@pytest.mark.parametrize("content", [b"", b"{}\nbytes", b"[1]\nbytes", b"\xff\n"])
def test_what_is_no_plan_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.plan"
    file.write_bytes(content)
    with pytest.raises(EnsembleError, match=r"expected a plan, got .*; build it again"):
        read_plan(file)


def test_float16_reaches_the_reduction_as_float32(tmp_path: Path) -> None:
    """A strongly typed network does what the graph says: nothing of the reduction is computed in float16."""
    inferred = onnx.shape_inference.infer_shapes(scores_of(tmp_path, half=True)).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    reduction = {name: kind for name, kind in kinds.items() if name.startswith("reduction/")}
    assert reduction
    assert TensorProto.FLOAT16 in kinds.values()
    assert TensorProto.FLOAT16 not in reduction.values()
    assert helper.tensor_dtype_to_np_dtype(kinds["input_0"]) == "float32"
