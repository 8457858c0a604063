"""Reduction in the graph against the compiled kernel, on the CPU: which of the two an ensemble should be scored by.

    python benchmarks/reduction.py [--camvid FOLDER] [--seconds S] [--json FILE]

Each case runs the same frames on one thread, in turns: the networks alone, the networks with the kernel behind them
(the engine), and one graph with networks and reduction. Figures are medians in ms a frame; a ratio above 1 is in favour
of the kernel. FOLDER holds the real networks (`models.json`, see shared/data); without it the toy alone is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import yaml
from onnx import TensorProto, helper, numpy_helper

from fleetsift import EnsembleSpec, FrameBatch, open_engine
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.ensembles.networks import network_sha256
from fleetsift.engines.graphs.fuse import FRAMES, fuse
from fleetsift.engines.graphs.reduction import fuse_scores

TOY_SIZE, TOY_CLASSES, TOY_CHANNELS = (256, 512), 19, (16, 32, 64, 64, 64)
TOY_STRIDES = (2, 2, 2, 1, 1)


def draw_toy(seed: int) -> onnx.ModelProto:
    """Six convolutions, output stride 8, then the enlargement: (N, 3, 256, 512) to (N, 19, 256, 512)."""
    random = np.random.default_rng(seed)
    nodes, weights, value, channels = [], [], "images", 3
    for layer, (wider, stride) in enumerate(zip(TOY_CHANNELS, TOY_STRIDES, strict=True)):
        kernel = random.normal(size=(wider, channels, 3, 3)) * (2 / (9 * channels)) ** 0.5
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{layer}"))
        conv = helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1] * 4, strides=[stride] * 2)
        nodes += [conv, helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"])]
        value, channels = f"r{layer}", wider
    head = random.normal(size=(TOY_CLASSES, channels, 1, 1)) / 4
    weights.append(numpy_helper.from_array(head.astype(np.float32), "head"))
    weights.append(numpy_helper.from_array(np.array([1, 1, 8, 8], np.float32), "scales"))
    nodes.append(helper.make_node("Conv", [value, "head"], ["native"]))
    nodes.append(helper.make_node("Resize", ["native", "", "scales"], ["logits"], mode="linear"))
    height, width = TOY_SIZE
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", TOY_CLASSES, height, width])],
        initializer=weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def write_toy(folder: Path, members: int, resolution: str) -> Path:
    """The ensemble file of so many toys."""
    for m in range(members):
        onnx.save(draw_toy(m), folder / f"toy_{m}.onnx")
    files = [folder / f"toy_{m}.onnx" for m in range(members)]
    return _write(
        folder / f"toy_{members}_{resolution}.yaml",
        name="toy",
        classes=[f"class_{c}" for c in range(TOY_CLASSES)],
        members=[{"file": file.name, "sha256": network_sha256(file)} for file in files],
        input={"height": TOY_SIZE[0], "width": TOY_SIZE[1]},
        resolution=resolution,
    )


def write_camvid(folder: Path, models: Path, resolution: str) -> Path:
    """The ensemble file of the five real networks, which stay where they are."""
    camvid = json.loads((models / "models.json").read_text())["camvid"]
    return _write(
        folder / f"camvid_{resolution}.yaml",
        name="camvid",
        classes=camvid["classes"],
        members=[{"file": str(models / m["file"]), "sha256": m["sha256"]} for m in camvid["members"]],
        input={"height": 360, "width": 480},
        output={"full": "logits", "native": "native", "embedding": "embedding"},
        resolution=resolution,
    )


def _write(path: Path, **fields: Any) -> Path:
    path.write_text(yaml.safe_dump(fields))
    return path


def measure(path: Path, seconds: float) -> dict[str, float]:
    """Milliseconds a frame of the networks alone, with the kernel, and with the reduction in the graph."""
    ensemble = read_ensemble(path)
    frames = draw_frames(ensemble.spec, 4)
    engine = open_engine(path, threads=1)
    networks, fused = _session(fuse(ensemble)), _session(fuse_scores(ensemble))
    ways: dict[str, Callable[[int], Any]] = {
        "networks_ms": lambda i: networks.run(None, {FRAMES: frames[i : i + 1]}),
        "kernel_ms": lambda i: engine.score(FrameBatch(frames[i : i + 1], (None,))),
        "graph_ms": lambda i: fused.run(None, {FRAMES: frames[i : i + 1]}),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for i in _until(seconds):  # in turns, so that what else the machine does falls on all alike
        for name, way in ways.items():
            start = time.perf_counter()
            way(i % len(frames))
            times[name].append(1e3 * (time.perf_counter() - start))
    engine.close()
    figures = {name: statistics.median(values[1:]) for name, values in times.items()}
    return figures | {"graph_over_kernel": figures["graph_ms"] / figures["kernel_ms"]}


def draw_frames(spec: EnsembleSpec, count: int) -> Any:
    """Random frames; what a reduction costs does not depend on what they show."""
    return np.random.default_rng(0).integers(0, 256, (count, *spec.frame_size, 3), dtype=np.uint8)


def _until(seconds: float) -> Iterator[int]:
    """Count turns, at least four, until the time is over."""
    turn, end = 0, time.perf_counter() + seconds
    while turn < 4 or time.perf_counter() < end:
        yield turn
        turn += 1


def _session(graph: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Measure every case, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, help="folder of the real networks")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each case")
    parser.add_argument("--json", type=Path, help="write {name: value} here")
    arguments = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cases = {
            f"toy_m{members}_{resolution}": write_toy(Path(folder), members, resolution)
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
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
