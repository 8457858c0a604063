"""How many frames a second the engine scores, against what people write, and against its networks alone."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from benchmarks.camvid import has_camvid, read_frames, write_camvid
from benchmarks.eager import ModulesInTorch
from benchmarks.engines.plan import Plan, short
from benchmarks.engines.report import Report, Row
from benchmarks.engines.turns import Times, Way, cpu_ms, speedup, take_turns, wall_ms
from benchmarks.engines.ways import Frames, networks_alone, one_by_one, score_batch, sessions_with_kernel
from benchmarks.naive import SessionsWithNumpy
from benchmarks.toy import ToyModule, build_network, draw_weights, write_toys
from fleetsift import open_engine
from fleetsift.engines.ensembles.ensemble import read_ensemble

ENGINE, ENGINE_FULL, ALONE = "engine", "engine, full size", "networks alone, native"


def measure_toy(plan: Plan, folder: Path, report: Report) -> None:
    """The six-layer toy in every way that people write."""
    members, size = plan.toy_members, plan.toy_size
    weights = [draw_weights(m) for m in range(members)]
    networks = [build_network(w, size) for w in weights]
    with_softmax = [build_network(w, size, softmax=True) for w in weights]
    frames = np.random.default_rng(0).integers(0, 256, (plan.frames, *size, 3), dtype=np.uint8)
    naive, in_numpy, eager = "sessions with softmax, NumPy", "sessions, softmax in NumPy", "torch eager"
    times = _compare(
        write_toys(folder, members, size),
        write_toys(folder, members, size, "full"),
        frames,
        {
            naive: one_by_one(SessionsWithNumpy(with_softmax, "probabilities").score, frames),
            in_numpy: one_by_one(SessionsWithNumpy(networks, "logits").score, frames),
            eager: one_by_one(ModulesInTorch([ToyModule(w) for w in weights]).score, frames),
            "sessions with the kernel, full": one_by_one(sessions_with_kernel(networks, "logits"), frames),
            _KERNEL: one_by_one(sessions_with_kernel(networks, "native"), frames),
        },
        plan,
    )
    report.sections.append((f"Six-layer toy, {members} members, {short(size)}, output stride 8", _rows(times)))
    report.figures |= {
        "speedup_vs_naive_toy_m8": speedup(times, naive, ENGINE),
        "speedup_of_networks_alone_vs_naive_toy_m8": speedup(times, naive, ALONE),
        "speedup_vs_numpy_softmax_toy_m8": speedup(times, in_numpy, ENGINE),
        "speedup_vs_torch_toy_m8": speedup(times, eager, ENGINE),
        "speedup_vs_sessions_with_kernel_toy_m8": speedup(times, _KERNEL, ENGINE),
        "speedup_full_vs_naive_toy_m8": speedup(times, naive, ENGINE_FULL),
        "frames_per_s_toy_m8": 1e3 / wall_ms(times, ENGINE),
    }


def measure_camvid(plan: Plan, folder: Path, report: Report) -> None:
    """The real networks; left out, saying so, where they are not at hand."""
    if plan.camvid is None or not has_camvid(plan.camvid):
        report.notes.append(f"CamVid is left out: its networks and frames are not at {plan.camvid}")
        return
    native, full = (write_camvid(folder, plan.camvid, resolution) for resolution in ("native", "full"))
    networks = read_ensemble(native).networks
    frames = read_frames(plan.camvid, plan.frames)
    naive = "sessions, softmax in NumPy"
    times = _compare(
        native,
        full,
        frames,
        {
            naive: one_by_one(SessionsWithNumpy(networks, "logits").score, frames),
            _KERNEL: one_by_one(sessions_with_kernel(networks, "native"), frames),
        },
        plan,
    )
    report.sections.append(("CamVid, five real networks of 0.68 M weights, 360 x 480, output stride 4", _rows(times)))
    report.figures |= {
        "speedup_vs_naive_camvid": speedup(times, naive, ENGINE),
        "speedup_of_networks_alone_vs_naive_camvid": speedup(times, naive, ALONE),
        "speedup_vs_sessions_with_kernel_camvid": speedup(times, _KERNEL, ENGINE),
        "speedup_full_vs_naive_camvid": speedup(times, naive, ENGINE_FULL),
        "frames_per_s_camvid": 1e3 / wall_ms(times, ENGINE),
    }


_KERNEL = "sessions with the kernel, native"


def _compare(native: Path, full: Path, frames: Frames, ways: dict[str, Way], plan: Plan) -> Times:
    """The ways people write against the engine, scoring at native and at full size, and its networks alone."""
    engines = {ENGINE: open_engine(native), ENGINE_FULL: open_engine(full)}
    try:
        scored = {name: score_batch(engine, frames) for name, engine in engines.items()}
        alone = {ALONE: networks_alone(read_ensemble(native), frames)}
        return take_turns(ways | alone | scored, plan.seconds, plan.turns)
    finally:
        for engine in engines.values():
            engine.close()


def _rows(times: Times) -> list[Row]:
    rows: list[Row] = [("way", "ms a frame", "quartiles", "CPU ms", "frames/s", "engine is faster by")]
    for name, taken in times.items():
        low, _, high = statistics.quantiles((t.wall_ms for t in taken), n=4)
        ms, faster = wall_ms(times, name), speedup(times, name, ENGINE)
        spread, cpu = f"{low:.1f}-{high:.1f}", f"{cpu_ms(times, name):.1f}"
        rows.append((name, f"{ms:.1f}", spread, cpu, f"{1e3 / ms:.1f}", f"{faster:.1f} x"))
    return rows
