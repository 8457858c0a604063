"""Networks in float16: what their graphs then say, and how far their scores lie from float32 on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.graphs.half import halve
from fleetsift.engines.graphs.reduction import fuse_scores
from fleetsift.engines.runtimes.cuda import open_bound_engine
from fleetsift.engines.runtimes.sessions import CPU
from fleetsift.errors import EnsembleError
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.engines.test_camvid import camvid_frames, write_camvid


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


def test_real_networks_are_near(tmp_path: Path, shared_data: Path) -> None:
    path, _ = write_camvid(tmp_path, shared_data / "models", "native")
    frames = FrameBatch(camvid_frames(shared_data, 1), (None,))
    halved, whole = (open_bound_engine(read_ensemble(path), CPU, batch=1, half=half) for half in (True, False))
    scores, expected = halved.score(frames), whole.score(frames)
    np.testing.assert_allclose(scores.entropy.mean, expected.entropy.mean, atol=2e-3)
    np.testing.assert_allclose(scores.mutual_information.mean, expected.mutual_information.mean, atol=2e-3)


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
