"""Networks in float16: what their graphs then say, and how far their scores lie from float32 on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from benchmarks.camvid import write_camvid
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.ensembles.networks import network_sha256
from fleetsift.engines.graphs.half import halve
from fleetsift.engines.graphs.reduction import fuse_scores
from fleetsift.engines.runtimes.cuda import open_bound_engine
from fleetsift.engines.runtimes.onnx import OnnxEngine
from fleetsift.engines.runtimes.sessions import CPU
from fleetsift.errors import EnsembleError
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.engines.test_camvid import camvid_frames


@pytest.mark.parametrize("resolution", ["native", "full"])
def test_networks_compute_in_float16_and_everything_else_in_float32(tmp_path: Path, resolution: str) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1, opset=13)], resolution=resolution))
    fused = fuse_scores(halve(ensemble))
    onnx.checker.check_model(fused, full_check=True)
    kinds = {w.name: w.data_type for w in fused.graph.initializer}
    assert kinds["member_0/head.weight"] == kinds["member_1/features.bias"] == TensorProto.FLOAT16
    assert kinds["divisor_0"] == TensorProto.FLOAT
    assert {o.type.tensor_type.elem_type for o in fused.graph.output} == {TensorProto.FLOAT}
    assert ensemble.networks == read_ensemble(ensemble.path).networks  # the ensemble itself is as it was


@pytest.mark.parametrize("resolution", ["native", "full"])
def test_scores_are_near(tmp_path: Path, resolution: str) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)], resolution=resolution))
    frames = FrameBatch(draw_frames(3), (None,) * 3)
    halved, whole = (open_bound_engine(ensemble, CPU, batch=1, half=half) for half in (True, False))
    assert halved.ensemble_id == f"{whole.ensemble_id}-fp16"
    assert_close(halved.score(frames), whole.score(frames), tolerance=0.02)


@pytest.mark.slow
def test_real_networks_are_near(tmp_path: Path, shared_data: Path) -> None:
    path = write_camvid(tmp_path, shared_data, "native")
    frames = FrameBatch(camvid_frames(shared_data, 1), (None,))
    halved, whole = (open_bound_engine(read_ensemble(path), CPU, batch=1, half=half) for half in (True, False))
    scores, expected = halved.score(frames), whole.score(frames)
    np.testing.assert_allclose(scores.entropy.mean, expected.entropy.mean, atol=2e-3)
    np.testing.assert_allclose(scores.mutual_information.mean, expected.mutual_information.mean, atol=2e-3)


def test_a_cpu_imitates_what_it_would_not_round(tmp_path: Path) -> None:
    """ONNX Runtime's CPU drops roundings between float16 nodes: not even values that float16 cannot hold would show."""
    weights = {"w": np.full((1, 3, 1, 1), 3e4), "v": np.full((2, 1, 1, 1), 1e-4)}
    steps = [helper.make_node("Conv", ["images", "w"], ["large"]), helper.make_node("Conv", ["large", "v"], ["logits"])]
    graph = helper.make_graph(
        steps,
        "overflow",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, 4, 4])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "n.onnx")
    member = {"file": "n.onnx", "sha256": network_sha256(tmp_path / "n.onnx")}
    spec = {"name": "overflow", "classes": ["a", "b"], "members": [member], "input": {"height": 4, "width": 4}}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(spec | {"regions": {"rows": 1, "columns": 1}}))
    white = FrameBatch(np.full((1, 4, 4, 3), 255, np.uint8), (None,))
    for half, finite in ((False, True), (True, False)):
        engine = OnnxEngine(read_ensemble(tmp_path / "e.yaml"), 1, half=half)
        assert (engine.score(white).problems == (None,)) == finite
        engine.close()


def test_dropout_is_the_same_in_either_precision(tmp_path: Path) -> None:
    members = [Drawn(0, dropout=0.3, spec={"passes": 4}), Drawn(1)]
    ensemble = read_ensemble(write_ensemble(tmp_path, members, views=["identity", "hflip"]))
    frames = FrameBatch(draw_frames(3), (None,) * 3)
    whole, imitated = (OnnxEngine(ensemble, 1, half=half) for half in (False, True))
    bound = open_bound_engine(ensemble, CPU, batch=1, half=True)
    expected = whole.score(frames)
    for engine in (imitated, bound):
        scores = engine.score(frames)
        np.testing.assert_allclose(scores.mutual_information.mean, expected.mutual_information.mean, atol=2e-3)
        np.testing.assert_allclose(scores.entropy.mean, expected.entropy.mean, atol=2e-3)
    assert expected.mutual_information.mean.min() > 0.01
    whole.close()
    imitated.close()


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(gain=1e6)]))
    with pytest.raises(EnsembleError, match=r"members\[0\] .* head.weight: expected weights up to 65504 for float16"):
        halve(ensemble)


def test_branches_are_refused(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()]))
    empty = helper.make_graph([], "empty", [], [])
    ensemble.networks[0].graph.node.append(helper.make_node("If", ["one"], ["x"], then_branch=empty, else_branch=empty))
    with pytest.raises(EnsembleError, match="expected a network without branches for float16, got If"):
        halve(ensemble)
