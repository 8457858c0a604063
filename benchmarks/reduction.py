"""Reduction in the graph against the compiled kernel, on the CPU: which of the two an ensemble should be scored by.

    python -m benchmarks.reduction [--camvid DATA] [--seconds S] [--json FILE]

Each case runs the same frame on one thread, in turns: the networks alone, the networks with the kernel behind them (the
engine), and one graph with networks and reduction. Figures are medians of CPU time in ms a frame; a ratio above 1 is in
favour of the kernel. DATA is shared/data with the real networks; without it the toy alone is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.camvid import write_camvid
from benchmarks.engines.turns import Way, cpu_ms, take_turns
from benchmarks.engines.ways import networks_alone, score_batch
from benchmarks.toy import write_toys
from fleetsift import open_engine
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.graphs.fuse import FRAMES
from fleetsift.engines.graphs.reduction import fuse_scores

TOY_SIZE = (256, 512)


def measure(path: Path, seconds: float) -> dict[str, float]:
    """CPU milliseconds a frame of the networks alone, with the kernel, and with the reduction in the graph."""
    ensemble = read_ensemble(path)
    frames = np.random.default_rng(0).integers(0, 256, (1, *ensemble.spec.frame_size, 3), dtype=np.uint8)
    engine = open_engine(path, threads=1)
    ways = {
        "networks_ms": networks_alone(ensemble, frames, threads=1),
        "kernel_ms": score_batch(engine, frames),
        "graph_ms": _in_graph(ensemble, frames),
    }
    times = take_turns(ways, seconds, turns=5)
    engine.close()
    ratio = statistics.median(g.cpu_ms / k.cpu_ms for g, k in zip(times["graph_ms"], times["kernel_ms"], strict=True))
    return {name: cpu_ms(times, name) for name in ways} | {"graph_over_kernel": ratio}


def _in_graph(ensemble: Ensemble, frames: np.ndarray) -> Way:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    graph = fuse_scores(ensemble).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return Way(lambda: session.run(None, {FRAMES: frames}), len(frames))


def main() -> None:
    """Measure every case, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, help="shared/data, with the real networks")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each case")
    parser.add_argument("--json", type=Path, help="write {name: value} here")
    arguments = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cases = {
            f"toy_m{members}_{resolution}": write_toys(Path(folder), members, TOY_SIZE, resolution)
            for members in (4, 8)
            for resolution in ("native", "full")
        }
        if arguments.camvid:
            cases |= {f"camvid_{r}": write_camvid(Path(folder), arguments.camvid, r) for r in ("native", "full")}
        for case, path in cases.items():
            figures = measure(path, arguments.seconds)
            print(f"{case:18}", *(f"{name} {value:8.2f}" for name, value in figures.items()), flush=True)
            found |= {f"{name}_{case}": value for name, value in figures.items()}
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
