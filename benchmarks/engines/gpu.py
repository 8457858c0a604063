"""The engines on a CUDA GPU, where there is one: eight networks of BiSeNetV2's class on frames of 512 x 1024.

    python -m benchmarks.engines.gpu [--json FILE]

It needs torch, onnx and Triton; ONNX Runtime with CUDA and TensorRT are measured as well where they are installed. What
the networks ask for is held against what the card reaches on a large product of matrices and on a large copy. Never run
on a card so far: all but the timing is tested without one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import yaml

from benchmarks.bisenet import CLASSES, Cost, build_bisenet, count_cost
from benchmarks.engines.report import Report, Row, as_text, machine
from benchmarks.interpreted import Interpreted
from fleetsift import Engine, FrameBatch
from fleetsift.engines.ensembles.networks import network_sha256
from fleetsift.engines.modules.torch import TorchEnsemble, open_torch_engine
from fleetsift.engines.open import open_engine
from fleetsift.errors import FleetsiftError
from fleetsift.schemas.ensemble import InputSpec
from fleetsift.schemas.runtime import RuntimeSpec

GOAL_FRAMES_PER_S = 1000
_HALF_BYTES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """What is scored."""

    members: int = 8
    size: tuple[int, int] = (512, 1024)
    batch: int = 8
    seconds: float = 10.0  # for each engine


@dataclass(frozen=True, slots=True)
class Card:
    """What a device reaches when it does one thing only."""

    name: str
    flops_per_s: float  # float16 products of large matrices
    bytes_per_s: float  # read and written by a large copy


_GOAL = Case()


def measure_gpu(report: Report, case: Case = _GOAL) -> None:
    """Measure every engine that runs here on CUDA; without a card, say so."""
    if not torch.cuda.is_available():
        report.notes.append("No CUDA GPU is here: the engines on one were not measured")
        return
    card = measure_card()
    cost = count_cost(build_bisenet(0, case.size))
    frames_per_s: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, open_it in ways_to_open(case, Path(folder)).items():
            try:
                with closing(open_it()) as engine:
                    frames_per_s[name] = time_engine(engine, case)
            except FleetsiftError as error:
                report.notes.append(f"{name} is left out: {error}")
    add_figures(report, case, card, cost, frames_per_s)


def ways_to_open(case: Case, folder: Path, device: str = "cuda") -> dict[str, Callable[[], Engine]]:
    """How each engine is opened, by the name of its figures; all in float16."""
    networks = [build_bisenet(m, case.size) for m in range(case.members)]
    path = write_ensemble(folder, networks, case)

    def modules() -> Engine:
        ensemble = TorchEnsemble(
            "bisenet",
            tuple(f"class_{c}" for c in range(CLASSES)),
            tuple(Interpreted(network, "native") for network in networks),
            InputSpec(height=case.size[0], width=case.size[1]),
        )
        return open_torch_engine(ensemble, device=device, batch=case.batch, half=device == "cuda")

    def graph(runtime: RuntimeSpec) -> Callable[[], Engine]:
        return lambda: open_engine(path, runtime=runtime, batch=case.batch)

    return {
        "torch": modules,
        "cuda": graph(RuntimeSpec(name="cuda", half=True)),
        "cuda_tensorrt": graph(RuntimeSpec(name="cuda_tensorrt", half=True)),
        "tensorrt": graph(RuntimeSpec(name="tensorrt", half=True)),
    }


def write_ensemble(folder: Path, networks: list[onnx.ModelProto], case: Case) -> Path:
    """The ensemble file over the networks, scored at their own stride."""
    files = [folder / f"bisenet_{m}.onnx" for m in range(len(networks))]
    for network, file in zip(networks, files, strict=True):
        onnx.save(network, file)
    spec = {
        "name": "bisenet",
        "classes": [f"class_{c}" for c in range(CLASSES)],
        "members": [{"file": file.name, "sha256": network_sha256(file)} for file in files],
        "input": {"height": case.size[0], "width": case.size[1]},
        "output": {"full": "logits", "native": "native"},
        "resolution": "native",
    }
    path = folder / "bisenet.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def time_engine(engine: Engine, case: Case) -> float:
    """Frames a second, from bytes on the host to rows: the median over batches, after three to warm up."""
    frames = np.random.default_rng(0).integers(0, 256, (case.batch, *case.size, 3), dtype=np.uint8)
    batch = FrameBatch(frames, (None,) * case.batch)
    for _ in range(3):
        engine.score(batch)
    taken: list[float] = []
    end = time.perf_counter() + case.seconds
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        engine.score(batch)
        taken.append(time.perf_counter() - began)
    return case.batch / statistics.median(taken)


def measure_card(device: str = "cuda", side: int = 8192, copied_bytes: int = 1 << 30) -> Card:
    """What the device reaches: 2 n^3 operations of a product of float16 matrices, and twice the bytes of a copy."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source = torch.zeros(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Card(
        torch.cuda.get_device_name() if device == "cuda" else device,
        2 * side**3 / _seconds(lambda: torch.mm(a, b), device),
        2 * copied_bytes / _seconds(lambda: target.copy_(source), device),
    )


def add_figures(report: Report, case: Case, card: Card, cost: Cost, frames_per_s: dict[str, float]) -> None:
    """Frames a second, and the share of the card that they mean."""
    rows: list[Row] = [("engine", "frames/s", "of the goal", "TFLOP/s", "of the matrix rate", "of the bandwidth")]
    for name, rate in frames_per_s.items():
        flops = rate * case.members * cost.flops
        matrix, bandwidth = flops / card.flops_per_s, rate * case.members * cost.values * _HALF_BYTES / card.bytes_per_s
        of_goal = f"{rate / GOAL_FRAMES_PER_S:.0%}"
        rows.append((name, f"{rate:.0f}", of_goal, f"{flops / 1e12:.1f}", f"{matrix:.1%}", f"{bandwidth:.1%}"))
        report.figures |= {
            f"gpu_frames_per_s_{name}": rate,
            f"gpu_share_of_matrix_rate_{name}": matrix,
            f"gpu_share_of_bandwidth_{name}": bandwidth,
        }
    title = (
        f"{card.name}: {case.members} networks of BiSeNetV2's class, {case.size[0]} x {case.size[1]}, batches of "
        f"{case.batch}, float16, from bytes on the host to rows"
    )
    report.sections.append((title, rows))
    report.figures |= {"gpu_tflops_of_card": card.flops_per_s / 1e12, "gpu_tb_per_s_of_card": card.bytes_per_s / 1e12}
    report.notes.append(
        f"A frame asks a network for {cost.flops / 1e9:.1f} GFLOP and {cost.values * _HALF_BYTES / 1e6:.0f} MB, were "
        "every node's values read and written once; what is fused moves less"
    )


def _seconds(work: Callable[[], object], device: str, rounds: int = 10) -> float:
    """The median time of a piece of work, the device waited for."""
    taken = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[2:])


def main() -> None:
    """Measure the GPU alone."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines.gpu", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    options = parser.parse_args()
    report = Report()
    print(machine(), flush=True)
    measure_gpu(report)
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(report.figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
