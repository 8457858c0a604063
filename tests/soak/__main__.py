"""Thousands of seeds: `make soak`, or `python -m tests.soak --help`.

A seed that breaks a promise is printed with the command that plays it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

from fleetsift.schemas.fleet import FleetSpec, FramesSpec, KafkaSpec, StoreSpec
from fleetsift.streaming.kafka.broker import embedded_broker
from tests.soak.processes import Crowd
from tests.soak.schedules import play_schedule
from tests.streaming.conftest import draw_frames

_SAY_EVERY_S = 5.0


def main() -> int:
    """Play seeds; 0 where every promise held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="schedules at model speed")
    parser.add_argument("--first", type=int, default=0, help="the first seed of schedules and crowds")
    parser.add_argument("--jobs", type=int, default=2, help="seeds at once")
    parser.add_argument("--killed", type=int, default=200, help="seeds of writers that kill -9 meets at every step")
    parser.add_argument("--crowds", type=int, default=20, help="seeds of real worker processes on a broker")
    parser.add_argument("--crowd-s", type=float, default=10.0, help="how long each of those lasts")
    wanted = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="fleetsift-soak-", dir=_fast_disk()))
    try:
        held = _killed(wanted.killed, place)
        held = held and _schedules(range(wanted.first, wanted.first + wanted.seeds), wanted.jobs, place)
        held = held and _crowds(range(wanted.first, wanted.first + wanted.crowds), wanted.crowd_s, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return 0 if held else 1


def _schedules(seeds: range, jobs: int, place: Path) -> bool:
    total, befell, began_s, said_s = 0, Counter[str](), time.monotonic(), 0.0
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for done, (seed, rows, of_seed, broken) in enumerate(
            pool.imap_unordered(partial(play_schedule, place), seeds), start=1
        ):
            total += rows
            befell.update(of_seed)
            if broken:
                print(f"{broken}\nseed {seed} broke a promise; again: python -m tests.soak --first {seed} --seeds 1")
                return False
            if time.monotonic() - said_s > _SAY_EVERY_S or done == len(seeds):
                said_s = time.monotonic()
                print(f"{done} of {len(seeds)} schedules, {total} rows, {_tell(befell)}; {said_s - began_s:.0f} s")
                sys.stdout.flush()
    return True


def _killed(seeds: int, place: Path) -> bool:
    command = [sys.executable, "-m", "tests.soak.killed", str(place / "killed"), str(seeds)]
    return not seeds or subprocess.run(command, check=False).returncode == 0


def _crowds(seeds: range, seconds: float, place: Path) -> bool:
    if not seeds:
        return True
    events, total = Counter[str](), 0
    draw_frames(place / "frames")
    with embedded_broker() as broker:
        for seed in seeds:
            crowd = Crowd(_fleet(broker, place), seed)
            try:
                total += crowd.run(seconds)
            except Exception:  # noqa: BLE001 - whatever it is, the seed is told
                again = f"python -m tests.soak --seeds 0 --first {seed} --crowds 1 --crowd-s {seconds:g}"
                print(f"{traceback.format_exc()}\ncrowd {seed} broke a promise; again: {again}")
                return False
            events += crowd.events
            print(f"{seed - seeds.start + 1} of {len(seeds)} crowds, {total} rows, {_tell(events)}", flush=True)
    return True


def _fleet(broker: str, place: Path) -> FleetSpec:
    name = uuid.uuid4().hex[:8]
    return FleetSpec(
        kafka_section=KafkaSpec(brokers=(broker,), topic=f"crowd-{name}", partitions=3),
        frames=FramesSpec(roots=(str(place / "frames"),)),
        ensemble="ensemble.yaml",
        store=StoreSpec(path=str(place / f"store-{name}"), flush_s=0.5),
    )


def _tell(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _fast_disk() -> str | None:
    """Memory, where there is such a file system: the steps are the same, and so is what may befall at each."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
