"""The engine against what people write, on a six-layer toy and on the real CamVid networks: one run, ratios, medians.

    python -m benchmarks.engines [--quick] [--json FILE] [--markdown FILE]

All ways of a case take turns, so that what else the machine does falls on all alike; a ratio is the median over turns.
Every way has the whole machine: each runtime with the threads it takes by default, the engine with its budget.
What the engine adds to its networks is measured on one thread, in CPU time. `engine` gives every score of a frame, the
others only mean and highest entropy and mutual information. Peak memory is that of a process for each case.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from benchmarks.eager import ModulesInTorch
from benchmarks.naive import SessionsWithNumpy
from benchmarks.peak import THREADS, peak_mib
from benchmarks.toy import ToyModule, build_network, draw_weights, write_toys
from fleetsift import Engine, FrameBatch, open_engine
from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.graphs.fuse import FRAMES, fuse
from fleetsift.engines.threads import thread_budget

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TOY_SIZE = (256, 512)
TOY_MEMBERS = 8

Frames = NDArray[np.uint8]  # (N, H, W, 3)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to score some frames."""

    run: Callable[[], object]
    frames: int


@dataclass(frozen=True, slots=True)
class Time:
    """What a frame took in one turn."""

    wall_ms: float
    cpu_ms: float  # of all threads


Times = Mapping[str, Sequence[Time]]  # by way, turn by turn


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    seconds: float  # for the turns of a case, and at least
    turns: int
    frames: int = 4  # in an engine's batch
    toy_members: int = TOY_MEMBERS
    toy_size: tuple[int, int] = TOY_SIZE
    scaled_members: tuple[int, ...] = (1, 2, 4, 8, 16)
    scaled_sizes: tuple[tuple[int, int], ...] = ((128, 256), (256, 512), (512, 1024))
    camvid: Path | None = SHARED


FULL = Plan(seconds=25, turns=9, scaled_sizes=((128, 256), (256, 512), (512, 1024), (1024, 2048)))
QUICK = Plan(seconds=10, turns=3, scaled_members=(1, 16), scaled_sizes=((128, 256), (512, 1024)))


@dataclass(slots=True)
class Report:
    """What was found: figures by name, and the tables people read."""

    figures: dict[str, float] = field(default_factory=dict)
    sections: list[tuple[str, list[tuple[str, ...]]]] = field(default_factory=list)  # a title, and rows under a head
    notes: list[str] = field(default_factory=list)


def measure(plan: Plan, folder: Path) -> Report:
    """Measure everything; files go into `folder`."""
    report = Report()
    _note_gpu(report)
    measure_toy(plan, folder, report)
    measure_camvid(plan, folder, report)
    measure_shares(plan, folder, report)
    measure_memory(plan, folder, report)
    return report


def take_turns(ways: Mapping[str, Way], seconds: float, turns: int = 3, pause_s: float = 0.0) -> Times:
    """Time each way in each turn, at least so many turns after one to warm up.

    pause_s: before each way, where threads of the one before it may still be spinning.
    """
    times: dict[str, list[Time]] = {name: [] for name in ways}
    turn, end = 0, time.perf_counter() + seconds
    while turn <= turns or time.perf_counter() < end:
        for name, way in ways.items():
            time.sleep(pause_s)
            began, cpu_began = time.perf_counter(), time.process_time()
            way.run()
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            if turn:
                times[name].append(Time(1e3 * wall_s / way.frames, 1e3 * cpu_s / way.frames))
        turn += 1
    return times


def wall_ms(times: Times, way: str) -> float:
    """The median over the turns."""
    return statistics.median(t.wall_ms for t in times[way])


def cpu_ms(times: Times, way: str) -> float:
    """The median over the turns."""
    return statistics.median(t.cpu_ms for t in times[way])


def speedup(times: Times, slow: str, fast: str) -> float:
    """How many times faster one way is than another: the median of the turns' ratios."""
    return statistics.median(s.wall_ms / f.wall_ms for s, f in zip(times[slow], times[fast], strict=True))


def share_added(times: Times) -> float:
    """What the engine adds to its networks, both on one thread; of CPU time, which waits for nobody else."""
    pairs = zip(times["engine"], times["networks"], strict=True)
    return statistics.median(engine.cpu_ms / networks.cpu_ms for engine, networks in pairs) - 1


def score_batch(engine: Engine, frames: Frames) -> Way:
    """The engine on all frames as one batch."""
    batch = FrameBatch(frames, (None,) * len(frames))
    return Way(lambda: engine.score(batch), len(frames))


def _one(score: Callable[[Any], object], frames: Frames) -> Way:
    """A way that takes one frame at a time: one is enough to time it."""
    return Way(lambda: score(frames[0]), 1)


def _networks_alone(ensemble: Ensemble) -> Callable[[Any], object]:
    """All members on one thread, frames to logits, and nothing after: what the engine cannot be faster than."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    graph = fuse(ensemble).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda frame: session.run(None, {FRAMES: frame[None]})


def _sessions_with_kernel(networks: Sequence[onnx.ModelProto], answer: str) -> Callable[[Any], object]:
    members = SessionsWithNumpy(networks, answer)
    return lambda frame: reduce_logits(np.ascontiguousarray(members.logits(frame)))


def measure_toy(plan: Plan, folder: Path, report: Report) -> None:
    """The six-layer toy in every way that people write."""
    members, size = plan.toy_members, plan.toy_size
    weights = [draw_weights(m) for m in range(members)]
    networks = [build_network(w, size) for w in weights]
    with_softmax = [build_network(w, size, softmax=True) for w in weights]
    frames = np.random.default_rng(0).integers(0, 256, (plan.frames, *size, 3), dtype=np.uint8)
    times = _compare(
        write_toys(folder, members, size),
        write_toys(folder, members, size, "full"),
        frames,
        {
            "sessions with softmax, NumPy": _one(SessionsWithNumpy(with_softmax, "probabilities").score, frames),
            "sessions, softmax in NumPy": _one(SessionsWithNumpy(networks, "logits").score, frames),
            "torch eager": _one(ModulesInTorch([ToyModule(w) for w in weights]).score, frames),
            "sessions with the kernel, full": _one(_sessions_with_kernel(networks, "logits"), frames),
            "sessions with the kernel, native": _one(_sessions_with_kernel(networks, "native"), frames),
        },
        plan,
    )
    report.sections.append((f"Six-layer toy, {members} members, {_show(size)}, output stride 8", _rows(times)))
    report.figures |= {
        "speedup_vs_naive_toy_m8": speedup(times, "sessions with softmax, NumPy", ENGINE),
        "speedup_vs_numpy_softmax_toy_m8": speedup(times, "sessions, softmax in NumPy", ENGINE),
        "speedup_vs_torch_toy_m8": speedup(times, "torch eager", ENGINE),
        "speedup_vs_sessions_with_kernel_toy_m8": speedup(times, "sessions with the kernel, native", ENGINE),
        "speedup_full_vs_naive_toy_m8": speedup(times, "sessions with softmax, NumPy", ENGINE_FULL),
        "frames_per_s_toy_m8": 1e3 / wall_ms(times, ENGINE),
    }


def measure_camvid(plan: Plan, folder: Path, report: Report) -> None:
    """The real networks; left out, saying so, where they are not at hand."""
    models = plan.camvid and plan.camvid / "models"
    if not (models and (models / "models.json").is_file()):
        report.notes.append(f"CamVid is left out: its networks and frames are not at {plan.camvid}")
        return
    native, full = (_write_camvid(folder, models, resolution) for resolution in ("native", "full"))
    networks = read_ensemble(native).networks
    files = sorted((models.parent / "camvid" / "val").glob("*.png"))
    frames = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files[:: len(files) // plan.frames]])
    frames = frames[: plan.frames]
    times = _compare(
        native,
        full,
        frames,
        {
            "sessions, softmax in NumPy": _one(SessionsWithNumpy(networks, "logits").score, frames),
            "sessions with the kernel, native": _one(_sessions_with_kernel(networks, "native"), frames),
        },
        plan,
    )
    report.sections.append(("CamVid, five real networks of 0.68 M weights, 360 x 480, output stride 4", _rows(times)))
    report.figures |= {
        "speedup_vs_naive_camvid": speedup(times, "sessions, softmax in NumPy", ENGINE),
        "speedup_vs_sessions_with_kernel_camvid": speedup(times, "sessions with the kernel, native", ENGINE),
        "speedup_full_vs_naive_camvid": speedup(times, "sessions, softmax in NumPy", ENGINE_FULL),
        "frames_per_s_camvid": 1e3 / wall_ms(times, ENGINE),
    }


CAMVID = "camvid_native.yaml"
ENGINE, ENGINE_FULL = "engine", "engine, full size"


def _compare(native: Path, full: Path, frames: Frames, ways: dict[str, Way], plan: Plan) -> Times:
    """The ways people write against the engine, scoring at native and at full size."""
    engines = {ENGINE: open_engine(native), ENGINE_FULL: open_engine(full)}
    try:
        scored = {name: score_batch(engine, frames) for name, engine in engines.items()}
        return take_turns(ways | scored, plan.seconds, plan.turns, pause_s=0.05)
    finally:
        for engine in engines.values():
            engine.close()


def measure_shares(plan: Plan, folder: Path, report: Report) -> None:
    """What the engine adds to its networks, for growing ensembles and frames."""
    title = "What the engine adds to its networks: normalisation is in both, reduction and statistics in one"
    rows: list[tuple[str, ...]] = [("ensemble", "engine, CPU ms", "networks alone, CPU ms", "added")]
    cases = {f"toy_m{members}_{_short(plan.toy_size)}": (members, plan.toy_size) for members in plan.scaled_members}
    cases["toy_m8"] = (plan.toy_members, plan.toy_size)
    cases |= {f"toy_m4_{_short(size)}": (min(4, plan.toy_members), size) for size in plan.scaled_sizes}
    paths = {name: write_toys(folder, members, size) for name, (members, size) in cases.items()}
    if (folder / CAMVID).is_file():
        paths["camvid"] = folder / CAMVID
    for name, path in paths.items():
        ensemble, engine = read_ensemble(path), open_engine(path, threads=1)
        frames = np.random.default_rng(0).integers(0, 256, (1, *engine.frame_size, 3), dtype=np.uint8)
        alone = _one(_networks_alone(ensemble), frames)
        times = take_turns({"engine": score_batch(engine, frames), "networks": alone}, plan.seconds / 7, turns=9)
        engine.close()
        ms, networks_ms, added = cpu_ms(times, "engine"), cpu_ms(times, "networks"), share_added(times)
        rows.append((name, f"{ms:.2f}", f"{networks_ms:.2f}", f"{added:+.1%}"))
        report.figures |= {f"cpu_ms_{name}": ms, f"reduction_share_{name}": added}
    report.sections.append((title, rows))


def measure_memory(plan: Plan, folder: Path, report: Report) -> None:
    """How high the memory of a process rises with the members."""
    ways = {"engine": ("native", "engine"), "engine, full size": ("full", "engine"), "naive": ("native", "naive")}
    rows: list[tuple[str, ...]] = [("members", *(f"{way}, MiB" for way in ways))]
    peaks: dict[str, list[float]] = {way: [] for way in ways}
    for members in plan.scaled_members:
        for way, (resolution, runs) in ways.items():
            peaks[way].append(peak_mib(write_toys(folder, members, plan.toy_size, resolution), runs))
        rows.append((f"{members}", *(f"{of_way[-1]:.0f}" for of_way in peaks.values())))
    title = f"Peak resident memory of a process, toy at {_show(plan.toy_size)}, {THREADS} threads"
    report.sections.append((title, rows))
    for way, of_way in peaks.items():
        growth = (of_way[-1] - of_way[0]) / (plan.scaled_members[-1] - plan.scaled_members[0])
        report.figures[f"mib_a_member_{way.replace(', ', '_').replace(' ', '_')}"] = growth


def _write_camvid(folder: Path, models: Path, resolution: str) -> Path:
    camvid = json.loads((models / "models.json").read_text())["camvid"]
    spec = {
        "name": "camvid",
        "classes": camvid["classes"],
        "members": [{"file": str(models / m["file"]), "sha256": m["sha256"]} for m in camvid["members"]],
        "input": {"height": 360, "width": 480},
        "output": {"full": "logits", "native": "native", "embedding": "embedding"},
        "resolution": resolution,
    }
    path = folder / (CAMVID if resolution == "native" else "camvid_full.yaml")
    path.write_text(yaml.safe_dump(spec))
    return path


def _note_gpu(report: Report) -> None:
    if torch.cuda.is_available() or "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        report.notes.append("A CUDA GPU is here; these figures are of the engine on the CPU, which is all they measure")
    else:
        report.notes.append("No CUDA GPU is here: everything ran on the CPU")


def _rows(times: Times) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("way", "ms a frame", "quartiles", "CPU ms", "frames/s", "engine is faster by")]
    for name, taken in times.items():
        low, _, high = statistics.quantiles((t.wall_ms for t in taken), n=4)
        ms, faster = wall_ms(times, name), speedup(times, name, ENGINE)
        cells = (
            f"{ms:.1f}",
            f"{low:.1f}-{high:.1f}",
            f"{cpu_ms(times, name):.1f}",
            f"{1e3 / ms:.1f}",
            f"{faster:.1f} x",
        )
        rows.append((name, *cells))
    return rows


def _short(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _show(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{names[0] if names else platform.machine()}, {thread_budget()} CPUs to use, load {load}; "
        f"Python {platform.python_version()}, ONNX Runtime {onnxruntime.__version__}, torch {torch.__version__}"
    )


def as_text(report: Report) -> str:
    """The tables for a terminal."""
    lines = list(report.notes)
    for title, rows in report.sections:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["", title]
        lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([*lines, "", *(f"{name:42} {value:10.3f}" for name, value in report.figures.items())])


def as_markdown(report: Report, command: str, machine: str) -> str:
    """The tables for a file in `benchmarks/results`."""
    lines = ["# Engines", "", f"    {command}", "", f"{datetime.now(tz=UTC).date().isoformat()}; {machine}.", ""]
    lines += [f"{note}." for note in report.notes]
    for title, (head, *rows) in report.sections:
        lines += ["", f"## {title}", "", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", "## Figures", "", "| name | value |", "|---|---:|"]
    return "\n".join([*lines, *(f"| `{name}` | {value:.3f} |" for name, value in report.figures.items()), ""])


def write_files(report: Report, machine: str, command: str, figures: Path | None, tables: Path | None) -> None:
    """Write the figures as JSON, {name: value}, and the tables as Markdown, each where it is wanted."""
    if figures:
        figures.write_text(json.dumps(report.figures, indent=2) + "\n", encoding="utf-8")
    if tables:
        tables.write_text(as_markdown(report, command, machine), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within three minutes on two busy cores")
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    parser.add_argument("--markdown", type=Path, help="where to write the tables")
    options = parser.parse_args(arguments)
    machine = _machine()
    print(machine, flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(QUICK if options.quick else FULL, Path(folder))
    report.notes.append(f"It took {time.perf_counter() - began:.0f} s")
    print(as_text(report))
    command = "python -m benchmarks.engines" + (" --quick" if options.quick else "")
    write_files(report, machine, command, options.json, options.markdown)


if __name__ == "__main__":
    main()
