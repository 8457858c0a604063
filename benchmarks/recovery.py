"""How long a stream stands still when its worker is killed by -9: from the signal to the next frame that is scored."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event

import msgspec
import psutil

from benchmarks.announced import Material, announce
from fleetsift.schemas.fleet import WorkersSpec
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.progress import RunProgress


def time_recoveries(material: Material, broker: str, folder: Path, kills: int) -> list[float]:
    """Seconds of each recovery, of one worker on a local Ray that scores with the real engine.

    It is seen twice a second, when the supervisor asks: so much of each figure is the looking.
    """
    spec = announce(material, broker, folder, material.take(200 * (kills + 1)), flush_rows=32, flush_s=1.0)
    spec = msgspec.structs.replace(spec, workers=WorkersSpec(count=1, batch=8))
    stop, recovered = Event(), list[float]()
    killed: set[int] = set()
    killed_at: float | None = None
    frames = 0

    def watch(progress: RunProgress) -> None:
        nonlocal killed_at, frames
        if killed_at is not None and progress.frames > frames and progress.restarts == len(killed):
            recovered.append(time.monotonic() - killed_at)
            killed_at = None
        frames = progress.frames if killed_at is None else frames
        if len(recovered) == kills:
            stop.set()
        elif killed_at is None and frames >= 24 * (len(recovered) + 1):
            for worker in _workers():
                if worker.pid not in killed:
                    worker.kill()
                    killed.add(worker.pid)
                    killed_at = time.monotonic()
                    break

    run_fleet(spec, until_end=False, stop=stop, on_progress=watch)
    return recovered


def _workers() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process.name() == "ray::Worker"]
