"""An ensemble with its reduction as one TensorRT plan: built once, kept in a file, loaded in seconds.

One code for two packages with the same interface: `tensorrt`, for every card of NVIDIA's, and `tensorrt-rtx`, which
builds for a named architecture without a GPU at hand. What precision a number has is written in the graph
(`graphs.half`), and the network is strongly typed: the builder chooses kernels, never types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.graphs.fuse import FRAMES
from fleetsift.engines.graphs.half import halve, scores_id
from fleetsift.engines.graphs.products import resized_by_products
from fleetsift.engines.graphs.reduction import fuse_maps, fuse_scores
from fleetsift.engines.runtimes.batched import BatchedEngine
from fleetsift.engines.runtimes.cuda_memory import CudaDevice, open_device
from fleetsift.engines.runtimes.tensorrt_caches import kept_timings, open_context, write_whole
from fleetsift.errors import ConfigError, EnsembleError, MissingExtra
from fleetsift.schemas.scores import F32

_PACKAGES = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}  # module, package


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a plan was made of and by; another fact, another plan."""

    ensemble_id: str
    graph: str  # sha256 of the fused graph, which holds the batch's outputs and the precision of every number
    batch: int  # frames at once
    package: str  # tensorrt or tensorrt-rtx
    version: str  # of the package; plans of another one do not load
    target: str  # the architecture it was built for, or the name of the card


@dataclass(frozen=True, slots=True)
class Plan:
    """A TensorRT engine as bytes, and what it is."""

    facts: PlanFacts
    content: bytes


def open_tensorrt_engine(
    ensemble: Ensemble, folder: Path, *, device: int = 0, batch: int = 8, half: bool = True
) -> BatchedEngine:
    """Open an ensemble on TensorRT; plans that are missing from the folder, or stale, are built first.

    half: networks in float16, the reduction in float32.
    Raises MissingExtra without TensorRT, ConfigError without a device, EnsembleError where the graph cannot be built.
    """
    trt = import_tensorrt()
    cuda = open_device(device)
    chosen, batch = halve(ensemble) if half else ensemble, ensemble.frames_at_once(batch)
    name = scores_id(ensemble.ensemble_id, half=half)

    def load(what: str, graph: onnx.ModelProto, frames: int) -> PlanProgram:
        file = folder / f"{name}-{what}-batch{frames}.plan"
        # tensorrt-rtx compares no kernels while it builds, and has no timings to keep
        timings = folder / f"{trt.__version__}.timings" if trt.__name__ == "tensorrt" else None
        build = partial(build_plan, timings=timings)
        plan = keep_plan(file, graph, frames, cuda.name, build)
        return PlanProgram(plan, cuda, (frames, *ensemble.spec.frame_size, 3), file.with_suffix(".kernels"))

    return BatchedEngine(
        name,
        ensemble.spec,
        batch,
        load("scores", fuse_scores(chosen), batch),
        lambda: load("maps", fuse_maps(chosen), 1),
        cuda.close,
    )


def keep_plan(
    file: Path,
    graph: onnx.ModelProto,
    batch: int,
    target: str,
    build: Callable[[onnx.ModelProto, int, str], Plan] | None = None,
) -> Plan:
    """The plan in a file where it is the one that would be built now; else build it and write it there."""
    facts = plan_facts(graph, batch, target)
    try:
        plan = read_plan(file)
        if plan.facts == facts:
            return plan
    except EnsembleError:  # absent, cut off, or of another time
        pass
    plan = (build or build_plan)(graph, batch, target)
    write_plan(plan, file)
    return plan


def plan_facts(graph: onnx.ModelProto, batch: int, target: str) -> PlanFacts:
    """What a plan for this graph, built here and now, would say of itself."""
    trt = import_tensorrt()
    said = {entry.key: entry.value for entry in graph.metadata_props}
    digest = hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()
    return PlanFacts(said["ensemble_id"], digest, batch, _PACKAGES[trt.__name__], trt.__version__, target)


def build_plan(graph: onnx.ModelProto, batch: int, target: str, timings: Path | None = None) -> Plan:
    """Have TensorRT parse a fused graph and choose kernels for batches of one size.

    target: an architecture such as `sm89`, for which tensorrt-rtx builds without a GPU; anything else means the GPU
    of this machine. timings: a file that keeps how long kernels took, for the next build.
    Raises EnsembleError with TensorRT's own words where it does not take the graph.
    """
    trt = import_tensorrt()
    said = _said(trt)
    builder = trt.Builder(said)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, said)
    if not parser.parse(resized_by_products(graph).SerializeToString(deterministic=True)):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        raise EnsembleError(
            f"{graph.graph.name}: expected operators that TensorRT takes, got {_one_line(errors[0].desc())} "
            f"at node {errors[0].node()}; export the network without it"
        )
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # it would cost three decimal digits
    config.set_flag(trt.BuilderFlag.STRICT_NANS)  # a logit that is not finite must be seen in the scores
    _aim(trt, config, target)
    shape = (batch, *network.get_input(0).shape[1:])
    profile = builder.create_optimization_profile()
    profile.set_shape(FRAMES, shape, shape, shape)
    config.add_optimization_profile(profile)
    with kept_timings(config, timings):
        content = builder.build_serialized_network(network, config)
    if content is None:
        raise EnsembleError(
            f"{graph.graph.name}: expected a graph that TensorRT can build for {target}, got {said.last_error()}"
        )
    return Plan(plan_facts(graph, batch, target), bytes(content))


def write_plan(plan: Plan, file: Path) -> None:
    """Write a plan whole or not at all: a line of JSON that says what it is, then its bytes."""
    write_whole(file, json.dumps(asdict(plan.facts)).encode() + b"\n" + plan.content)


def read_plan(file: Path) -> Plan:
    """Read a plan and what it says of itself. Raises EnsembleError where there is none."""
    try:
        said, _, content = file.read_bytes().partition(b"\n")
        return Plan(PlanFacts(**json.loads(said)), content)
    except (OSError, ValueError, TypeError) as error:
        raise EnsembleError(f"{file}: expected a plan, got {_one_line(error)}; build it again") from error


class PlanProgram:
    """A plan that is loaded on a device, with places there for its frames and its answers."""

    def __init__(self, plan: Plan, cuda: CudaDevice, frames_shape: tuple[int, ...], kernels: Path) -> None:
        """Load a plan; raises EnsembleError where it is not for this device.

        kernels: a file that keeps those which are compiled on the card.
        """
        trt = import_tensorrt()
        said = _said(trt)
        self._runtime = trt.Runtime(said)  # both are needed as long as what came of them
        engine = self._runtime.deserialize_cuda_engine(plan.content)
        if engine is None:
            raise EnsembleError(
                f"plan of {plan.facts.ensemble_id}: expected one for {cuda.name}, got {said.last_error()}"
            )
        self._said, self._engine, self._cuda = said, engine, cuda
        self._has_run = False
        self._context, self._keep_kernels = open_context(engine, kernels)
        self._context.set_input_shape(FRAMES, frames_shape)
        self._frames = cuda.allocate(frames_shape, np.uint8)
        self._context.set_tensor_address(FRAMES, self._frames.address)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._answers = {
            name: cuda.allocate(tuple(self._context.get_tensor_shape(name)), np.float32)
            for name in names
            if name != FRAMES
        }
        for name, answer in self._answers.items():
            self._context.set_tensor_address(name, answer.address)

    def __call__(self, frames: NDArray[np.uint8]) -> dict[str, F32]:
        """Copy a batch to the device, run, and copy the few floats back."""
        self._frames.write(frames)
        if not self._context.execute_async_v3(self._cuda.stream):
            raise EnsembleError("the ensemble's plan: expected it to run, TensorRT refused")
        answers = {name: answer.read() for name, answer in self._answers.items()}
        if not self._has_run:  # by now every kernel has been compiled
            self._keep_kernels()
            self._has_run = True
        return answers


def import_tensorrt() -> Any:
    """TensorRT's module, from whichever of its packages is installed."""
    for module in _PACKAGES:
        try:
            return import_module(module)
        except ImportError:
            continue
    raise MissingExtra("engine tensorrt", "tensorrt", "tensorrt")


def _aim(trt: Any, config: Any, target: str) -> None:
    """Build for a named architecture, where that is what the target is."""
    if not (target.startswith("sm") and target[2:].isdigit()):
        return
    known = dict(trt.ComputeCapability.__members__) if hasattr(trt, "ComputeCapability") else {}
    names = [name for name in known if name.startswith("SM")]
    if target.upper() not in names:
        there_are = ", ".join(name.lower() for name in names) or "none, as only tensorrt-rtx builds for absent GPUs"
        raise ConfigError(f"TensorRT target: expected one of {there_are}, got {target}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(known[target.upper()], 0)


def _said(trt: Any) -> Any:
    """A logger that keeps what TensorRT says of errors, which it reports nowhere else."""

    class Said(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.errors.append(message)

        def last_error(self) -> str:
            return _one_line(self.errors[-1]) if self.errors else "no reason"

    return Said()


def _one_line(what: object) -> str:
    return " ".join(str(what).split())
