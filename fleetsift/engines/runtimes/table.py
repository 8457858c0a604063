"""What can run an ensemble file, by name: one table, from the CPU that every machine has to TensorRT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.runtimes.cuda import open_cuda_engine, open_cuda_tensorrt_engine
from fleetsift.engines.runtimes.onnx import OnnxEngine
from fleetsift.engines.runtimes.tensorrt import open_tensorrt_engine
from fleetsift.engines.threads import thread_budget
from fleetsift.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Runtime:
    """How an ensemble should be run."""

    name: str = "cpu"  # one of RUNTIMES
    batch: int = 8  # frames a device takes at once
    half: bool = False  # networks in float16, the reduction in float32; gives the ensemble another id
    device: int = 0  # which GPU
    plans: Path | None = None  # a folder for what TensorRT builds; default: `plans` beside the ensemble file
    threads: int | None = None  # on the CPU; default: what this process may use


def open_on(runtime: Runtime, ensemble_path: str | Path) -> Engine:
    """Open an ensemble file to be run in this way.

    Raises ConfigError for a name that is not in RUNTIMES or a device that is not here (MissingExtra where a package
    is not), EnsembleError where the networks cannot be run so.
    """
    if runtime.name not in RUNTIMES:
        raise ConfigError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {runtime.name}; choose one")
    return RUNTIMES[runtime.name](read_ensemble(ensemble_path), runtime)


def _on_cpu(ensemble: Ensemble, runtime: Runtime) -> Engine:
    if runtime.half:
        raise ConfigError("runtime.half: expected a GPU for float16, got cpu; leave it out")
    return OnnxEngine(ensemble, runtime.threads or thread_budget())


def _on_cuda(ensemble: Ensemble, runtime: Runtime) -> Engine:
    return open_cuda_engine(ensemble, device=runtime.device, batch=runtime.batch, half=runtime.half)


def _on_cuda_tensorrt(ensemble: Ensemble, runtime: Runtime) -> Engine:
    plans = _plans(ensemble, runtime)
    return open_cuda_tensorrt_engine(ensemble, plans, device=runtime.device, batch=runtime.batch, half=runtime.half)


def _on_tensorrt(ensemble: Ensemble, runtime: Runtime) -> Engine:
    plans = _plans(ensemble, runtime)
    return open_tensorrt_engine(ensemble, plans, device=runtime.device, batch=runtime.batch, half=runtime.half)


def _plans(ensemble: Ensemble, runtime: Runtime) -> Path:
    return runtime.plans or ensemble.folder / "plans"


RUNTIMES: Mapping[str, Callable[[Ensemble, Runtime], Engine]] = {
    "cpu": _on_cpu,  # ONNX Runtime, the reduction compiled
    "cuda": _on_cuda,  # ONNX Runtime on a GPU, the reduction in the graph
    "cuda_tensorrt": _on_cuda_tensorrt,  # TensorRT inside ONNX Runtime, the reduction on CUDA
    "tensorrt": _on_tensorrt,  # plans by tensorrt or tensorrt-rtx, the reduction in them
}
