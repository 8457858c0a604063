"""The stream against its engine, against Ray Data, over a long run, and after kill -9; and where its time goes.

    python -m benchmarks.stream [--quick] [--json FILE] [--markdown FILE]

Real frames and networks (CamVid, where they lie beside the project; else the demo's), an embedded broker, files on the
local disk. Every figure is a median over rounds in which all variants take turns; a ratio is the median of the rounds'
ratios. Paces are steady ones (`benchmarks.pace`); what starting takes is a figure of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kafka import KafkaProducer

from benchmarks.announced import BATCH, Material, announce, camvid, demo
from benchmarks.endurance import growth, watch_memory
from benchmarks.pace import Pace, WaitingEngine, engine_alone, whole_stream
from benchmarks.recovery import time_recoveries
from benchmarks.stages import HOST_STAGES, cost_of_stages
from fleetsift import FleetSpec, open_engine
from fleetsift.engines.function import null_engine
from fleetsift.streaming.kafka.broker import embedded_broker
from fleetsift.threads import thread_budget

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frames: int
    rounds: int
    null_frames: int
    waiting_frames: int
    ray_data_frames: int
    ours_in_ray_data: bool  # our engine in its actor too
    kills: int
    soak_s: float


QUICK = Plan(
    frames=64, rounds=3, null_frames=2_000, waiting_frames=1_000, ray_data_frames=48, ours_in_ray_data=False, kills=1,
    soak_s=30.0,
)  # fmt: skip
FULL = Plan(
    frames=320, rounds=7, null_frames=8_000, waiting_frames=4_000, ray_data_frames=240, ours_in_ray_data=True, kills=5,
    soak_s=1_500.0,
)  # fmt: skip


def measure(plan: Plan, folder: Path) -> tuple[str, Figures]:
    """The name of the material, and every figure."""
    drawn = demo(folder)
    material = camvid(folder) or drawn
    photographs = material.of_kind(".jpg")
    engine = open_engine(material.ensemble)
    figures = cost_of_stages(engine, photographs.spread(96))
    with embedded_broker() as broker:
        figures |= compare_paces(material, broker, folder, plan.frames, plan.rounds)
        small = compare_paces(drawn, broker, folder, 4 * plan.frames, plan.rounds)
        figures |= {f"demo_{name}": value for name, value in small.items()}
        figures |= null_pace(photographs, engine.frame_size, broker, folder, plan)
        figures |= waiting_pace(photographs, engine.frame_size, broker, folder, plan)
        figures |= against_ray_data(material, broker, folder, plan, figures["end_to_end_frames_per_s"])
        recovered = time_recoveries(drawn, broker, folder, plan.kills)
    figures["null_engine_explained"] = (
        sum(figures[f"stage_{s}_ms"] for s in HOST_STAGES) / figures["null_engine_cpu_ms"]
    )
    figures |= {"recovery_s": statistics.median(recovered), "recovery_s_longest": max(recovered)}
    return material.name, figures | growth(watch_memory(drawn, (192, 320), folder, plan.soak_s))


def compare_paces(material: Material, broker: str, folder: Path, frames: int, rounds: int) -> Figures:
    """The engine alone and the whole stream in turns, after a short one that warms up."""
    opener = partial(open_engine, material.ensemble, thread_budget())
    whole: list[Pace] = []
    alone: list[Pace] = []
    for turn in range(rounds + 1):
        size = frames if turn else 2 * BATCH
        whole.append(whole_stream(opener, material, broker, folder, size))
        alone.append(engine_alone(opener(), material, size))
    whole, alone = whole[1:], alone[1:]
    pairs = list(zip(whole, alone, strict=True))
    return {
        "engine_alone_frames_per_s": statistics.median(pace.frames_per_s for pace in alone),
        "end_to_end_frames_per_s": statistics.median(pace.frames_per_s for pace in whole),
        "end_to_end_vs_engine": statistics.median(w.frames_per_s / a.frames_per_s for w, a in pairs),
        "cpu_engine_vs_end_to_end": statistics.median(a.cpu_ms / w.cpu_ms for w, a in pairs),
        "cpu_ms_engine_alone": statistics.median(pace.cpu_ms for pace in alone),
        "cpu_ms_end_to_end": statistics.median(pace.cpu_ms for pace in whole),
        "first_batch_s": statistics.median(pace.before_s for pace in whole),
        "last_publish_s": statistics.median(pace.after_s for pace in whole),
    }


def waiting_pace(material: Material, size: tuple[int, int], broker: str, folder: Path, plan: Plan) -> Figures:
    """The stream beside an engine that only waits, a millisecond a frame, as a GPU at its goal would let it."""
    engine = WaitingEngine(null_engine(size).function, frame_size=size)
    ratios = []
    for _ in range(plan.rounds):
        alone = engine_alone(engine, material, 160)
        whole = whole_stream(lambda: engine, material, broker, folder, plan.waiting_frames)
        ratios.append(whole.frames_per_s / alone.frames_per_s)
    return {"end_to_end_vs_waiting_engine": statistics.median(ratios)}


def null_pace(material: Material, size: tuple[int, int], broker: str, folder: Path, plan: Plan) -> Figures:
    """The stream with an engine that costs nothing: what it could feed."""
    paces = [
        whole_stream(partial(null_engine, size), material, broker, folder, plan.null_frames, flush_rows=1_000)
        for _ in range(plan.rounds)
    ]
    pace, cpu_ms = (statistics.median(getattr(p, name) for p in paces) for name in ("frames_per_s", "cpu_ms"))
    return {
        "null_engine_frames_per_s": pace,
        "null_engine_cpu_ms": cpu_ms,
        "null_engine_frames_per_s_a_core": 1e3 / cpu_ms,
    }


def against_ray_data(material: Material, broker: str, folder: Path, plan: Plan, ours: float) -> Figures:
    """Ray Data with what its users write, and with our engine in its actor."""
    spec = announce(material, broker, folder, material.references(plan.ray_data_frames))
    ends = _find_ends(spec)
    found: Figures = {}
    same = [("_same_engine", (material.ensemble,))] if plan.ours_in_ray_data else []
    for name, networks in (("", material.networks), *same):
        theirs = _run_ray_data(spec, ends, folder / f"ray_data{name}", networks)
        found |= {
            f"ray_data{name}_frames_per_s": theirs["frames_per_s"],
            f"ray_data{name}_start_and_end_s": theirs["took_s"] - theirs["frames"] / theirs["frames_per_s"],
            f"speedup_vs_ray_data{name}": ours / theirs["frames_per_s"],
        }
        if theirs["frames"] != plan.ray_data_frames:
            raise RuntimeError(f"Ray Data wrote {theirs['frames']:g} rows of {plan.ray_data_frames} frames")
    return found


def _find_ends(spec: FleetSpec) -> str:
    """Where each partition ends, as JSON.

    Asked for it, the embedded broker knows only where the last batch of records begins: a last one is sent alone, and
    left out.
    """
    producer = KafkaProducer(bootstrap_servers=list(spec.kafka.brokers))
    last = [producer.send(spec.kafka.topic, value=b"{}", partition=p) for p in range(spec.kafka.partitions)]
    ends = {partition: sent.get(timeout=30).offset for partition, sent in enumerate(last)}
    producer.close()
    return json.dumps(ends)


def _run_ray_data(spec: FleetSpec, ends: str, out: Path, networks: Sequence[Path]) -> Figures:
    names = [*spec.kafka.brokers, spec.kafka.topic, ends, str(out), *map(str, networks)]
    command = [sys.executable, "-m", "benchmarks.ray_data", *names]
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "timed out during startup" not in done.stderr:  # of Ray, on a busy machine
            break
    if done.returncode:
        raise RuntimeError(f"Ray Data failed: {done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{names[0] if names else platform.machine()}, {thread_budget()} CPUs to use, load {load}"


def as_markdown(figures: Figures, title: str, facts: Sequence[str]) -> str:
    """The figures for a file in `benchmarks/results`."""
    lines = [f"# {title}", "", *facts, "", "| figure | value |", "|---|---:|"]
    return "\n".join([*lines, *(f"| `{name}` | {value:.3f} |" for name, value in figures.items()), ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within three minutes on two cores")
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    parser.add_argument("--markdown", type=Path, help="where to write a table of them")
    options = parser.parse_args(arguments)
    machine, began = _machine(), time.perf_counter()
    print(machine, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        name, figures = measure(QUICK if options.quick else FULL, Path(folder))
    took_s = time.perf_counter() - began
    for figure, value in figures.items():
        print(f"{figure:40} {value:12.3f}")
    print(f"{name} frames and networks; it took {took_s:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        command = "    python -m benchmarks.stream" + (" --quick" if options.quick else "")
        today = datetime.now(tz=UTC).date().isoformat()
        facts = [command, "", f"{today}; {machine}; {name} frames and networks; it took {took_s:.0f} s."]
        options.markdown.write_text(as_markdown(figures, "The stream", facts), encoding="utf-8")


if __name__ == "__main__":
    main()
