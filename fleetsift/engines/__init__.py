"""uint8 frames in, FrameScores out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def fuse(ensemble_path: str | Path) -> onnx.ModelProto:
    """Turn an ensemble file into one self-contained ONNX graph: uint8 frames (N, H, W, 3) in, a few floats a frame out.

    `graphs.reduction` says what the outputs are, and what the graph carries of its ensemble. Raises ConfigError
    or EnsembleError where the file or its networks cannot be meant, or cannot live in one graph.
    """
    from fleetsift.engines.ensembles.ensemble import read_ensemble  # noqa: PLC0415 - who scores does not wait for ONNX
    from fleetsift.engines.graphs.reduction import fuse_scores  # noqa: PLC0415

    return fuse_scores(read_ensemble(ensemble_path))
