"""From an ensemble file to an engine that is ready to answer."""

from __future__ import annotations

from pathlib import Path

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.runtimes.onnx import OnnxEngine
from fleetsift.engines.threads import thread_budget


def open_engine(ensemble_path: str | Path, threads: int | None = None) -> Engine:
    """Open an ensemble file on the CPU.

    threads: how many CPUs to keep busy; by default what this process may use.
    Raises ConfigError (MissingExtra where ONNX Runtime is not installed) or EnsembleError.
    """
    return OnnxEngine(read_ensemble(ensemble_path), threads or thread_budget())
