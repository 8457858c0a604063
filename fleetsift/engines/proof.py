"""Engines that have proved their scores before anybody trusts them: the precision sentinel, where a stream begins."""

from __future__ import annotations

from pathlib import Path

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.open import open_ensemble
from fleetsift.engines.truth.parity import bound_of
from fleetsift.engines.truth.sentinel import sentinel
from fleetsift.schemas.runtime import RuntimeSpec


def open_proven(ensemble_path: str | Path, threads: int | None, runtime: RuntimeSpec, batch: int) -> Engine:
    """Open an ensemble file as `open_engine` does, and hold it against the float64 reference on canary frames.

    Raises EnsembleError, in one line, where a score is not true or members never disagree; else as `open_engine`.
    """
    ensemble = read_ensemble(ensemble_path)
    engine = open_ensemble(ensemble, threads, runtime=runtime, batch=batch)
    try:
        sentinel(engine, ensemble, bound=bound_of(half=runtime.half))
    except BaseException:
        engine.close()
        raise
    return engine
