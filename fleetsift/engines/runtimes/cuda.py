"""An ensemble with its reduction on a GPU, by ONNX Runtime: CUDA, or TensorRT for the networks and CUDA behind it.

Frames go to the device as bytes and a few floats a frame come back; nothing else crosses. The reduction is float32 in
either: TF32 is off, and TensorRT, which in float16 takes every node it gets for one, does not get the reduction's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.graphs.fuse import EMBEDDING, FRAMES, fuse
from fleetsift.engines.graphs.half import halve, scores_id
from fleetsift.engines.graphs.reduction import fuse_maps, fuse_scores, reduction_graph
from fleetsift.engines.runtimes.batched import BatchedEngine, Program
from fleetsift.engines.runtimes.sessions import BoundSession, Provider, allocate, errors_as, open_session
from fleetsift.schemas.scores import F32


def open_cuda_engine(
    ensemble: Ensemble, *, device: int = 0, batch: int = 8, half: bool = False, cuda_graph: bool = False
) -> BatchedEngine:
    """Open an ensemble on ONNX Runtime's CUDA provider, networks and reduction in one graph.

    batch: frames at once, where the networks take more than one. half: networks in float16. cuda_graph: record the
    kernels once and replay them, which saves their launches, and refuses graphs with nodes that are left to the CPU.

    Raises MissingExtra without onnxruntime-gpu, ConfigError without a device, EnsembleError where the graph fails.
    """
    return open_bound_engine(ensemble, cuda_provider(device, cuda_graph=cuda_graph), batch=batch, half=half)


def open_cuda_tensorrt_engine(
    ensemble: Ensemble, cache: Path, *, device: int = 0, batch: int = 8, half: bool = True
) -> BatchedEngine:
    """Open an ensemble on ONNX Runtime's TensorRT provider, with the reduction on CUDA.

    cache: a folder for engines and kernel timings; the first opening takes minutes, the next seconds. half: TensorRT
    may take float16 wherever it is faster. Maps are computed on CUDA, in float32.

    Raises as `open_cuda_engine`.
    """
    name, batch = scores_id(ensemble.ensemble_id, half=half), ensemble.frames_at_once(batch)
    folder = cache / f"{name}-batch{batch}"
    provider = tensorrt_provider(folder, (batch, *ensemble.spec.frame_size, 3), device, half=half)
    cuda = cuda_provider(device)
    program = bind_in_turn(ensemble, provider, cuda, batch)
    return BatchedEngine(name, ensemble.spec, batch, program, lambda: _bind(ensemble, fuse_maps(ensemble), cuda, 1))


def open_bound_engine(ensemble: Ensemble, provider: Provider, *, batch: int, half: bool = False) -> BatchedEngine:
    """Open an ensemble on any provider, with its frames and scores bound to places on the device.

    On the CPU it is slower than `OnnxEngine`, whose reduction is compiled; there it serves to test what a GPU will run.
    """
    chosen, batch = halve(ensemble) if half else ensemble, ensemble.frames_at_once(batch)
    return BatchedEngine(
        scores_id(ensemble.ensemble_id, half=half),
        ensemble.spec,
        batch,
        _bind(chosen, fuse_scores(chosen), provider, batch),
        lambda: _bind(chosen, fuse_maps(chosen), provider, 1),
    )


def bind_in_turn(ensemble: Ensemble, networks_on: Provider, reduction_on: Provider, batch: int) -> Program:
    """Networks on one provider, the reduction on another: the logits stay where the first has written them."""
    source = str(ensemble.path)
    session = open_session(fuse(ensemble), source, networks_on)
    frames = allocate(networks_on, (batch, *ensemble.spec.frame_size, 3), np.uint8)
    with errors_as(_takes(ensemble, batch)):
        networks = BoundSession(session, networks_on, {FRAMES: frames})
    logits = {name: value for name, value in networks.answers.items() if name != EMBEDDING}
    _, _, height, width = next(iter(logits.values())).shape()
    graph = reduction_graph(ensemble.spec, (height, width))
    reduction = BoundSession(open_session(graph, source, reduction_on), reduction_on, logits)

    def run(pixels: NDArray[np.uint8]) -> dict[str, F32]:
        frames.update_inplace(pixels)
        networks.run()
        reduction.run()
        kept = {name: value.numpy().copy() for name, value in networks.answers.items() if name == EMBEDDING}
        return reduction.read() | kept

    return run


def _bind(ensemble: Ensemble, graph: onnx.ModelProto, provider: Provider, batch: int) -> Program:
    session = open_session(graph, str(ensemble.path), provider)
    frames = allocate(provider, (batch, *ensemble.spec.frame_size, 3), np.uint8)
    with errors_as(_takes(ensemble, batch)):
        bound = BoundSession(session, provider, {FRAMES: frames})

    def run(pixels: NDArray[np.uint8]) -> dict[str, F32]:
        frames.update_inplace(pixels)
        bound.run()
        return bound.read()

    return run


def _takes(ensemble: Ensemble, batch: int) -> str:
    return f"{ensemble.path}: expected networks that take {batch} frames at once (say `batch: 1` if they take one)"


def cuda_provider(device: int = 0, *, cuda_graph: bool = False) -> Provider:
    """CUDA without TF32, which would cost three decimal digits, and with the same kernels in every process."""
    options = {
        "device_id": str(device),
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",  # by rule: a race between kernels ends differently from day to day
        "enable_cuda_graph": str(int(cuda_graph)),
    }
    return Provider("CUDAExecutionProvider", "cuda", device, options)


def tensorrt_provider(folder: Path, frames_shape: tuple[int, ...], device: int = 0, *, half: bool = True) -> Provider:
    """TensorRT for the networks of one batch size, CUDA for what it leaves; engines and timings kept in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = f"{FRAMES}:{'x'.join(map(str, frames_shape))}"
    options = {
        "device_id": str(device),
        "trt_fp16_enable": str(half),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
        "trt_profile_min_shapes": profile,
        "trt_profile_opt_shapes": profile,
        "trt_profile_max_shapes": profile,
    }
    return Provider("TensorrtExecutionProvider", "cuda", device, options, leaves_to=cuda_provider(device))
