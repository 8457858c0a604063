"""An ensemble file opened, asked once and closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.open import open_engine
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import FrameScores


def score(path: Path, frames: Any) -> FrameScores:
    """The scores of frames (N, H, W, 3) by the CPU's engine, which has as many members as the file says answers."""
    engine = open_engine(path, threads=2)
    try:
        assert engine.members == len(read_ensemble(path).spec.answers)
        return engine.score(FrameBatch(frames, (None,) * len(frames)))
    finally:
        engine.close()
