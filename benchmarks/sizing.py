"""What so many frames a day need, computed from measured figures: writes `docs/sizing.md`.

    python -m benchmarks.sizing benchmarks/results/stages.json benchmarks/results/simulation.json > docs/sizing.md

The first file holds what `benchmarks.stages` measures (`benchmarks.stream --json` has it too), the second is of
`benchmarks.simulation --json`. What is not measured is assumed, and named as such on the page.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from benchmarks.stages import HOST_STAGES

Figures = dict[str, float]

DAYS_FRAMES = (1_000_000, 10_000_000, 100_000_000)
DAY_S = 86_400
CAMVID_PIXELS = 480 * 360


@dataclass(frozen=True, slots=True)
class Assumed:
    """What no measurement here says."""

    peak: float = 2.0  # the busiest hour over the mean
    use: float = 0.7  # of what a part can do, so that a backlog can be worked off
    gpu_frames_per_s: float = 1000.0  # the goal for one H200: eight networks of BiSeNetV2's class at 512 x 1024
    camera_pixels: float = 2048 * 1024  # of a frame; bytes and decoding grow with them
    flush_s: float = 60.0  # store.flush_s
    partitions_a_worker: float = 4.0  # so that shares stay even when workers come and go
    puts_per_s: float = 3500.0  # that S3 promises for one prefix
    calls_per_s: float = 4400.0  # pipelined calls of Ray actors, measured elsewhere on two cores
    polls_per_s: float = 79_000.0  # messages that kafka-python delivered to one process, measured elsewhere


@dataclass(frozen=True, slots=True)
class Need:
    """What one load needs."""

    frames_a_day: int
    frames_per_s: float  # at the busiest hour
    gpus: int
    host_cores: float  # for everything but the networks
    cpu_cores: float  # for CamVid's five small networks, on CPUs instead of GPUs
    network_gbit_per_s: float
    topic_gb_a_day: float
    partitions: int
    store_gb_a_day: float
    files_a_day: int
    store_requests_per_s: float


def need(frames_a_day: int, measured: Figures, simulated: Figures, assumed: Assumed) -> Need:
    """Compute one load's needs."""
    rate = frames_a_day / DAY_S * assumed.peak
    larger = assumed.camera_pixels / CAMVID_PIXELS
    gpus = math.ceil(rate / (assumed.gpu_frames_per_s * assumed.use))
    partitions = max(4, math.ceil(gpus * assumed.partitions_a_worker))
    files = min(frames_a_day, partitions * DAY_S / assumed.flush_s)
    return Need(
        frames_a_day=frames_a_day,
        frames_per_s=rate,
        gpus=gpus,
        host_cores=rate * host_ms(measured, larger) / 1e3 / assumed.use,
        cpu_cores=rate * measured["stage_score_ms"] / 1e3 / assumed.use,
        network_gbit_per_s=rate * measured["bytes_a_frame"] * larger * 8 / 1e9,
        topic_gb_a_day=frames_a_day * measured["bytes_a_message"] / 1e9,
        partitions=partitions,
        store_gb_a_day=frames_a_day * measured["bytes_a_row"] / 1e9,
        files_a_day=int(files),
        store_requests_per_s=files / DAY_S * simulated["requests_a_segment"],
    )


def host_ms(measured: Figures, larger: float) -> float:
    """CPU milliseconds a frame of everything but the networks; decoding and fetching grow with the frame."""
    grow = {"decode": larger, "fetch": larger}
    return sum(measured[f"stage_{stage}_ms"] * grow.get(stage, 1.0) for stage in HOST_STAGES)


def headrooms(most: Need, measured: Figures, assumed: Assumed) -> list[tuple[str, str, float]]:
    """Each shared part, what its bound is from, and how many times the largest load it would bear; scarcest first."""
    a_worker = most.frames_per_s / most.gpus
    cores_a_gpu = 16
    larger = assumed.camera_pixels / CAMVID_PIXELS
    decoding = cores_a_gpu * 1e3 / host_ms(measured, larger) / a_worker
    parts = [
        (f"decoding beside a GPU, on {cores_a_gpu} cores", "measured; growth with the pixels assumed", decoding),
        ("one worker's Python, in the hot path's thread", "measured", 1e3 / measured["hot_path_ms"] / a_worker),
        ("one network link a node with one GPU", "assumed: 25 Gbit/s", 25 / (most.network_gbit_per_s / most.gpus)),
        ("reading Kafka, one process a worker", "measured elsewhere", assumed.polls_per_s / a_worker),
        ("the object store, one prefix", "assumed: S3's promise", assumed.puts_per_s / most.store_requests_per_s),
        ("the supervisor's questions", "measured elsewhere", assumed.calls_per_s / (2 * most.gpus)),
    ]
    return sorted(parts, key=lambda part: part[2])


def page(measured: Figures, simulated: Figures, assumed: Assumed) -> str:
    """The whole page."""
    needs = [need(frames, measured, simulated, assumed) for frames in DAYS_FRAMES]
    template = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, trim_blocks=True)
    text = (Path(__file__).parent / "sizing.md.jinja").read_text(encoding="utf-8")
    return template.from_string(text).render(
        needs=needs,
        parts=headrooms(needs[-1], measured, assumed),
        larger=assumed.camera_pixels / CAMVID_PIXELS,
        measured=measured,
        simulated=simulated,
        assumed=assumed,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing")
    parser.add_argument("stream", type=Path, help="figures of benchmarks.stream")
    parser.add_argument("simulation", type=Path, help="figures of benchmarks.simulation")
    options = parser.parse_args(arguments)
    measured, simulated = (json.loads(file.read_text()) for file in (options.stream, options.simulation))
    print(page(measured, simulated, Assumed()), end="")


if __name__ == "__main__":
    main()
