"""The demo's ensemble: tiny networks trained by `fleetsift.demo.training`, and the file that names them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def demo_ensemble() -> Path:
    """Where the bundled ensemble file lies; its networks lie beside it."""
    return Path(str(files(__name__) / "ensemble.yaml"))
