"""The peak of a process's resident memory while it scores a few frames; in a process of its own, without torch.

    python -m benchmarks.peak ENSEMBLE engine|naive

It prints MiB. Not by `ru_maxrss`, which a process inherits from the one that started it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from fleetsift import FrameBatch, open_engine
from fleetsift.engines.ensembles.ensemble import read_ensemble

THREADS, FRAMES = 2, 6


def peak_mib(ensemble: Path, way: str) -> float:
    """Score in a new process, by the engine or as people write it."""
    command = [sys.executable, "-m", "benchmarks.peak", str(ensemble), way]
    root = Path(__file__).resolve().parents[1]
    return float(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)


def score(path: Path, way: str) -> float:
    """Score in this process, and say how high its memory has been."""
    ensemble = read_ensemble(path)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, *ensemble.spec.frame_size, 3), dtype=np.uint8)
    if way == "naive":
        from benchmarks.naive import SessionsWithNumpy  # noqa: PLC0415 - an engine's process does not load it

        members = SessionsWithNumpy(ensemble.networks, "logits")
        for frame in frames:
            members.score(frame)
    else:
        del ensemble
        engine = open_engine(path, THREADS)
        engine.score(FrameBatch(frames, (None,) * FRAMES))
        engine.close()
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    print(score(Path(sys.argv[1]), sys.argv[2]))
