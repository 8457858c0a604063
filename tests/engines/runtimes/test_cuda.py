"""What a GPU will run by ONNX Runtime, run on its CPU provider: all but the device is the same code.

CUDA and TensorRT themselves have not been seen by these tests; without a GPU's build of ONNX Runtime they are refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.open import open_engine, open_ensemble
from fleetsift.engines.runtimes.batched import BatchedEngine
from fleetsift.engines.runtimes.cuda import (
    bind_in_turn,
    cuda_provider,
    open_bound_engine,
    open_cuda_engine,
    open_cuda_tensorrt_engine,
    tensorrt_provider,
)
from fleetsift.engines.runtimes.sessions import CPU
from fleetsift.errors import EnsembleError, MissingExtra
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_close, assert_identical
from tests.engines.drawn_networks import Drawn, draw_frames, draw_network, write_altered, write_ensemble


@pytest.mark.parametrize("resolution", ["native", "full"])
def test_scores_and_maps_are_those_of_the_engine_on_the_cpu(tmp_path: Path, resolution: str) -> None:
    path = write_ensemble(tmp_path, [Drawn(m) for m in range(3)], resolution=resolution)
    frames = FrameBatch(draw_frames(5), (None,) * 5)
    bound, compiled = open_bound_engine(read_ensemble(path), CPU, batch=2), open_engine(path, threads=1)
    assert bound.ensemble_id == compiled.ensemble_id
    assert_close(bound.score(frames), compiled.score(frames))
    maps, expected = bound.maps(frames.pixels[0]), compiled.maps(frames.pixels[0])
    for name in ("entropy", "mutual_information", "entropy_by_class", "mutual_information_by_class", "argmax"):
        np.testing.assert_allclose(getattr(maps, name), getattr(expected, name), atol=1e-5)
    for engine in (bound, compiled):
        engine.close()


def test_a_row_is_the_same_wherever_it_stands(tmp_path: Path) -> None:
    engine = open_bound_engine(read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)])), CPU, batch=3)
    frames = draw_frames(1)
    alone = engine.score(FrameBatch(frames, (None,)))
    last = engine.score(FrameBatch(np.concatenate([draw_frames(4, seed=1), frames]), (None,) * 5))
    np.testing.assert_array_equal(alone.entropy.top[0], last.entropy.top[4])
    np.testing.assert_array_equal(alone.by_class.mutual_information[0], last.by_class.mutual_information[4])
    np.testing.assert_array_equal(alone.embedding[0], last.embedding[4])


def test_networks_and_reduction_in_turn_give_the_same_bits(tmp_path: Path) -> None:
    """As with TensorRT and CUDA: one session writes the logits where the other reads them."""
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)]))
    whole = open_bound_engine(ensemble, CPU, batch=2)
    in_turn = BatchedEngine("x", ensemble.spec, 2, bind_in_turn(ensemble, CPU, CPU, 2), whole.open_maps)
    frames = FrameBatch(draw_frames(3), (None,) * 3)
    assert_identical(in_turn.score(frames), whole.score(frames))


@pytest.mark.parametrize("leading", ["N", 1])
def test_a_network_for_one_frame_is_given_one_where_it_says_so(tmp_path: Path, leading: str | int) -> None:
    """Its shape inside is fixed; if its input says so too, frames go to it one by one, and else the error names how."""
    network = draw_network(Drawn())
    [images] = network.graph.input
    images.CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, [leading, 3, 16, 24]))
    network.graph.initializer.append(numpy_helper.from_array(np.array([1, 8, 8, 12]), "shape"))
    relu = next(i for i, node in enumerate(network.graph.node) if node.op_type == "Relu")
    network.graph.node.insert(relu, helper.make_node("Reshape", ["a", "shape"], ["b"]))
    network.graph.node[relu + 1].input[0] = "b"
    ensemble, frames = read_ensemble(write_altered(tmp_path, network)), FrameBatch(draw_frames(3), (None,) * 3)
    if leading == "N":
        with pytest.raises(EnsembleError, match=r"ensemble\.yaml: expected networks that take 2 frames .*`batch: 1`"):
            open_bound_engine(ensemble, CPU, batch=2)
    one_by_one, compiled = open_bound_engine(ensemble, CPU, batch=1 if leading == "N" else 2), open_ensemble(ensemble)
    assert_close(one_by_one.score(frames), compiled.score(frames))
    compiled.close()


def test_a_graph_that_does_not_load_is_refused(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()]))
    ensemble.networks[0].graph.node[0].op_type = "Convolution"
    with pytest.raises(EnsembleError, match=r"(can load|known before)") as caught:
        open_bound_engine(ensemble, CPU, batch=1)
    assert "\n" not in str(caught.value)


def test_without_a_gpus_build_it_says_what_is_missing_and_what_to_install(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()]))
    remedy = "the package onnxruntime-gpu is not installed; pip install 'fleetsift[gpu]', in a clone '.[gpu]'"
    with pytest.raises(MissingExtra) as caught:
        open_cuda_engine(ensemble)
    assert str(caught.value) == f"CUDAExecutionProvider: {remedy}"
    with pytest.raises(MissingExtra) as caught:
        open_cuda_tensorrt_engine(ensemble, tmp_path / "cache")
    assert str(caught.value) == f"TensorrtExecutionProvider: {remedy}"


def test_what_a_gpu_is_asked_for(tmp_path: Path) -> None:
    assert cuda_provider(1).options["use_tf32"] == "0"
    assert cuda_provider(1, cuda_graph=True).options["enable_cuda_graph"] == "1"
    provider = tensorrt_provider(tmp_path / "cache", (8, 16, 24, 3), 1)
    assert provider.options["trt_profile_opt_shapes"] == "frames:8x16x24x3"
    assert provider.leaves_to == cuda_provider(1)
    assert (tmp_path / "cache").is_dir()
