"""The reduction inside the graph, on ONNX Runtime's CPU provider, against the float64 reference on the same logits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from benchmarks.camvid import write_camvid
from fleetsift import engines
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.formulas import independent, uncertainty
from fleetsift.engines.formulas.boxes import class_facts
from fleetsift.engines.graphs.arithmetic import Sheet
from fleetsift.engines.graphs.boxes import write_box_facts
from fleetsift.engines.graphs.fuse import EMBEDDING, FRAMES, fuse, fused_logits
from fleetsift.engines.graphs.reading import find_broken, read_rows
from fleetsift.engines.graphs.reduction import (
    ARGMAX_MAP,
    BY_CLASS,
    ENTROPY_MAP,
    INFORMATION_MAP,
    INFORMATION_MAPS,
    MEMBER_ENTROPIES,
    REGION_ARGMAX,
    REGIONS,
    STATISTICS,
    fuse_maps,
    fuse_scores,
)
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import CLASS_QUANTITIES, FrameRow, gather_rows
from fleetsift.engines.runtimes.batched import BatchedEngine
from fleetsift.engines.runtimes.cuda import bind_in_turn, open_bound_engine
from fleetsift.engines.runtimes.sessions import CPU
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import QUANTITIES, FrameScores
from fleetsift.schemas.status import Problem
from tests.engines.closeness import assert_close
from tests.engines.drawn_logits import random_logits
from tests.engines.drawn_networks import CLASSES, Drawn, draw_enlarged_again, draw_frames, write_altered, write_ensemble
from tests.engines.reductions import by_formulas, by_graph, run, scores_of, spec_of
from tests.engines.test_camvid import camvid_frames


def gathered(spec: EnsembleSpec, rows: list[FrameRow | Problem]) -> FrameScores:
    sizes = [len(row.embedding) for row in rows if isinstance(row, FrameRow)]
    return gather_rows(rows, spec.classes, spec.regions, sizes[0])


def reference(ensemble: Ensemble, frames: Any) -> FrameScores:
    """The formulas in float64 on the logits of the graph without a reduction."""
    spec, answers = ensemble.spec, run(fuse(ensemble), {FRAMES: frames})
    embedding = answers.pop(EMBEDDING)
    logits_nmchw = np.stack(list(answers.values()), axis=1)
    rows = [
        uncertainty.score_frame(frame, spec.regions, spec.top_share, vector)
        for frame, vector in zip(logits_nmchw, embedding, strict=True)
    ]
    return gathered(spec, rows)


@pytest.mark.parametrize("resolution", ["native", "full"])
@pytest.mark.parametrize(
    "members",
    [
        [Drawn(0)],
        [Drawn(m, gain=200) for m in range(4)],
        [Drawn(0), Drawn(1, size=(16, 24), spec={"input": {"height": 16, "width": 24, "channels": "bgr"}})],
        [Drawn(0, opset=13), Drawn(1, opset=13)],
        [Drawn(0, opset=13), Drawn(1, opset=20)],
    ],
    ids=["one", "four of large logits", "inputs that differ", "old opset", "opsets that differ"],
)
def test_scores_are_those_of_the_reference(tmp_path: Path, members: list[Drawn], resolution: str) -> None:
    ensemble = read_ensemble(
        write_ensemble(tmp_path, members, resolution=resolution, regions={"rows": 3, "columns": 5})
    )
    frames = draw_frames(3)
    scores = gathered(ensemble.spec, read_rows(ensemble.spec, run(fuse_scores(ensemble), {FRAMES: frames})))
    assert_close(scores, reference(ensemble, frames))


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["native", "full"])
def test_real_networks_on_real_frames(tmp_path: Path, shared_data: Path, resolution: str) -> None:
    path = write_camvid(tmp_path, shared_data, resolution)
    ensemble, frames = read_ensemble(path), camvid_frames(shared_data, 2)
    scores = gathered(ensemble.spec, read_rows(ensemble.spec, run(fuse_scores(ensemble), {FRAMES: frames})))
    assert_close(scores, reference(ensemble, frames))


@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_views_are_answers_and_softmaxes_are_compared(tmp_path: Path, task: str) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)], views=["identity", "hflip"], task=task)
    frames = FrameBatch(draw_frames(3), (None,) * 3)
    bound, compiled = open_bound_engine(read_ensemble(path), CPU, batch=2), open_engine(path, threads=1)
    scores, expected = bound.score(frames), compiled.score(frames)
    assert bound.members == compiled.members == 4
    assert_close(scores, expected)
    assert (scores.equal is None) == (task == "detection_heatmap")
    compiled.close()


def test_what_a_broken_view_is_called() -> None:
    spec = msgspec.structs.replace(spec_of(random_logits(2, 3, 4, 4)), views=("identity", "hflip"))
    problem = find_broken(spec, {MEMBER_ENTROPIES: np.array([1, 1, 1, np.nan], np.float32)})
    assert problem is not None
    assert problem.reason.startswith("members[1] (none.onnx): expected finite logits")


@pytest.mark.parametrize("members", [1, 2])
def test_boxes_are_found_in_what_a_graph_says_of_positions(tmp_path: Path, members: int) -> None:
    output = {"native": "native", "channels": {"boxes": 0, "classes": 4}}
    drawn = [Drawn(m, leading=4, size=(32, 48)) for m in range(members)]
    boxes = {"decoding": "fastestdet", "threshold": 0.6, "member": members - 1}
    path = write_ensemble(tmp_path, drawn, task="detection_heatmap", output=output, boxes=boxes)
    ensemble, frames = read_ensemble(path), FrameBatch(draw_frames(3, (32, 48)), (None,) * 3)
    expected = (compiled := open_engine(path, threads=1)).score(frames)
    compiled.close()
    one = open_bound_engine(ensemble, CPU, batch=2)
    assert_close(one.score(frames), expected)
    in_turn = BatchedEngine(ensemble.ensemble_id, ensemble.spec, 2, bind_in_turn(ensemble, CPU, CPU, 2), dict)  # type: ignore[arg-type]
    assert_close(in_turn.score(frames), expected)
    assert expected.objects is not None
    assert (expected.objects.count > 2).all()


def test_what_is_said_of_a_class_is_the_same_in_a_graph() -> None:
    """Also where all classes are as good as impossible, and where several are equal."""
    logits_chw = random_logits(1, 4, 5, 6)[0]
    logits_chw[:, 0, 0], logits_chw[:, 0, 1] = -1e4, 2.0
    sheet = Sheet("boxes/")
    terms, z = (sheet.value(name) for name in ("terms", "logits"))
    facts = write_box_facts(terms, z, 4)
    inputs = [onnx.helper.make_tensor_value_info(v.name, onnx.TensorProto.FLOAT, ["N", 4, 5, 6]) for v in (terms, z)]
    output = onnx.helper.make_tensor_value_info(facts.name, onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(sheet.nodes, "boxes", inputs, [output], list(sheet.constants.values()))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    [found] = run(model, {"terms": logits_chw[None], "logits": logits_chw[None]}).values()
    p, _ = independent.probabilities(logits_chw)
    np.testing.assert_array_equal(found[0, :4], logits_chw)
    np.testing.assert_array_equal(found[0, 4], logits_chw.max(axis=0))
    np.testing.assert_allclose(found[0, 5:], class_facts(p)[1:], atol=1e-5)


def test_more_positions_than_a_device_sorts_have_the_same_top() -> None:
    """More than 3840 positions in the top share: a bound is found by halving instead."""
    logits_mchw = random_logits(2, 3, 80, 100)
    logits_mchw[:, :, 60:] = 0  # a quarter is equal, and the bound lies in it
    spec = spec_of(logits_mchw, top_share=0.5)
    found, expected = (scores_of(spec, rows(spec, logits_mchw[None])) for rows in (by_graph, by_formulas))
    assert_close(found, expected)


def test_long_sums_stay_exact() -> None:
    """172,800 positions, all nearly alike: summed up one by one in float32 they would be off by more than the bound."""
    logits_mchw = random_logits(2, 3, 360, 480, spread=0.1)
    spec = spec_of(logits_mchw)
    found, expected = (scores_of(spec, rows(spec, logits_mchw[None])) for rows in (by_graph, by_formulas))
    assert_close(found, expected, tolerance=2e-6)


def test_other_frames_of_the_batch_are_scored(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1, breaks_on_white=True)]))
    frames = draw_frames(3)
    frames[1] = 255
    rows = read_rows(ensemble.spec, run(fuse_scores(ensemble), {FRAMES: frames}))
    assert [isinstance(row, Problem) for row in rows] == [False, True, False]


def test_maps_are_those_of_the_reference(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(m) for m in range(3)]))
    frames = draw_frames(1)
    maps = run(fuse_maps(ensemble), {FRAMES: frames})
    answers = run(fuse(ensemble), {FRAMES: frames})
    log_probs = uncertainty.log_softmax(np.stack([answers[fused_logits(m)][0] for m in range(3)]))
    np.testing.assert_allclose(maps[ENTROPY_MAP][0, 0], uncertainty.predictive_entropy(log_probs), atol=1e-5)
    np.testing.assert_allclose(maps[INFORMATION_MAP][0, 0], uncertainty.mutual_information(log_probs), atol=1e-5)
    np.testing.assert_allclose(maps[INFORMATION_MAPS][0], uncertainty.class_information(log_probs), atol=1e-5)
    np.testing.assert_array_equal(maps[ARGMAX_MAP][0, 0], uncertainty.most_probable(log_probs))


class TestTheGraph:
    def test_it_gives_a_few_floats_a_frame(self, tmp_path: Path) -> None:
        fused = fuse_scores(read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)])))
        onnx.checker.check_model(fused, full_check=True)
        shapes = {
            output.name: [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
            for output in fused.graph.output
        }
        assert len(shapes.pop(EMBEDDING)) == 2
        assert shapes == {
            STATISTICS: ["N", len(QUANTITIES), 3],
            BY_CLASS: ["N", len(CLASS_QUANTITIES), len(CLASSES)],
            REGIONS: ["N", 2, 12],
            REGION_ARGMAX: ["N", 12, 3],
            MEMBER_ENTROPIES: ["N", 2],
        }

    @pytest.mark.parametrize("resolution", ["native", "full"])
    def test_no_softmax_over_an_axis_that_is_not_the_last(self, tmp_path: Path, resolution: str) -> None:
        """A runtime transposes around it: fifty times slower than the kernel, as PERFORMANCE.md has measured."""
        fused = fuse_scores(read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)], resolution=resolution)))
        assert not [node for node in fused.graph.node if "Softmax" in node.op_type]

    def test_it_says_what_it_is(self, tmp_path: Path) -> None:
        ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0, opset=13)]))
        said = {entry.key: entry.value for entry in fuse_scores(ensemble).metadata_props}
        assert said["ensemble_id"] == ensemble.ensemble_id
        assert tuple(json.loads(said["classes"])) == CLASSES
        assert json.loads(said["ensemble"])["name"] == "drawn"
        assert {"fleetsift", "onnx"} < set(said)

    def test_the_same_ensemble_gives_the_same_bytes(self, tmp_path: Path) -> None:
        path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)])
        first, again = (fuse_scores(read_ensemble(path)).SerializeToString(deterministic=True) for _ in range(2))
        assert first == again

    def test_an_ensemble_file_is_fused_into_it(self, tmp_path: Path) -> None:
        path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)])
        fused = engines.fuse(path)
        assert fused.SerializeToString(deterministic=True) == fuse_scores(read_ensemble(path)).SerializeToString(
            deterministic=True
        )
        [frames] = fused.graph.input
        assert frames.type.tensor_type.elem_type == onnx.TensorProto.UINT8

    def test_what_is_held_at_once_does_not_grow_with_the_members(self, tmp_path: Path) -> None:
        few, many = (
            most_held(fuse_scores(read_ensemble(write_ensemble(tmp_path, [Drawn(m) for m in range(members)]))))
            for members in (2, 16)
        )
        assert many - few <= (16 - 2) * 4  # bytes: each member's mean entropy

    def test_a_size_that_only_running_tells_is_refused(self, tmp_path: Path) -> None:
        path = write_altered(tmp_path, draw_enlarged_again(), output={"full": "larger"}, resolution="full")
        with pytest.raises(EnsembleError, match=r"logits_0: expected .* of a size that is known before"):
            fuse_scores(read_ensemble(path))

    def test_a_grid_finer_than_the_maps_is_refused(self, tmp_path: Path) -> None:
        path = write_ensemble(tmp_path, [Drawn()], regions={"rows": 9, "columns": 4})
        with pytest.raises(EnsembleError, match="regions: expected at most 8 rows and 12 columns"):
            fuse_scores(read_ensemble(path))


def most_held(model: onnx.ModelProto) -> int:
    """The most bytes that values of a frame take at once, when nodes run in the order they are written in."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        value.name: 4 * math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in inferred.value_info
    }
    last = {name: i for i, node in enumerate(model.graph.node) for name in node.input}
    held, most = 0, 0
    for i, node in enumerate(model.graph.node):
        held += sum(sizes.get(name, 0) for name in node.output)
        most = max(most, held)
        held -= sum(sizes.get(name, 0) for name in {*node.input, *node.output} if last.get(name, i) == i)
    return most
