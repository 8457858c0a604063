"""From an ensemble file to an engine that is ready to answer: one table of what can run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.runtimes.cuda import open_cuda_engine, open_cuda_tensorrt_engine
from fleetsift.engines.runtimes.onnx import OnnxEngine
from fleetsift.engines.runtimes.tensorrt import open_tensorrt_engine
from fleetsift.schemas.runtime import RuntimeName, RuntimeSpec
from fleetsift.threads import thread_budget

_CPU = RuntimeSpec()


def open_engine(
    ensemble_path: str | Path, threads: int | None = None, *, runtime: RuntimeSpec = _CPU, batch: int = 8
) -> Engine:
    """Open an ensemble file, by default on the CPU.

    threads: how many CPUs to keep busy; by default what this process may use. batch: frames that a GPU takes at once;
    it is the first one that this process sees.

    Raises ConfigError where the device is not here (MissingExtra where a package is not), or EnsembleError where the
    networks cannot be run so.
    """
    return open_ensemble(read_ensemble(ensemble_path), threads, runtime=runtime, batch=batch)


def open_ensemble(
    ensemble: Ensemble, threads: int | None = None, *, runtime: RuntimeSpec = _CPU, batch: int = 8
) -> Engine:
    """Open an ensemble that is read already, as `open_engine` does."""
    return RUNTIMES[runtime.name](ensemble, _How(runtime, batch, threads or thread_budget()))


class _How(NamedTuple):
    runtime: RuntimeSpec
    batch: int
    threads: int

    def plans(self, ensemble: Ensemble) -> Path:
        return Path(self.runtime.plans) if self.runtime.plans else ensemble.folder / "plans"


def _on_cpu(ensemble: Ensemble, how: _How) -> Engine:
    return OnnxEngine(ensemble, how.threads, half=how.runtime.half)


def _on_cuda(ensemble: Ensemble, how: _How) -> Engine:
    runtime = how.runtime
    return open_cuda_engine(ensemble, batch=how.batch, half=runtime.half, cuda_graph=runtime.cuda_graph)


def _on_cuda_tensorrt(ensemble: Ensemble, how: _How) -> Engine:
    return open_cuda_tensorrt_engine(ensemble, how.plans(ensemble), batch=how.batch, half=how.runtime.half)


def _on_tensorrt(ensemble: Ensemble, how: _How) -> Engine:
    return open_tensorrt_engine(ensemble, how.plans(ensemble), batch=how.batch, half=how.runtime.half)


RUNTIMES: Mapping[RuntimeName, Callable[[Ensemble, _How], Engine]] = {
    "cpu": _on_cpu,  # ONNX Runtime, the reduction compiled; float16 is imitated there, to know what it does to scores
    "cuda": _on_cuda,  # ONNX Runtime on a GPU, the reduction in the graph
    "cuda_tensorrt": _on_cuda_tensorrt,  # TensorRT inside ONNX Runtime, the reduction on CUDA
    "tensorrt": _on_tensorrt,  # plans by tensorrt or tensorrt-rtx, the reduction in them
}
