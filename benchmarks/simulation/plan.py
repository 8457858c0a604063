"""What is simulated, and the pace of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TICK_S = 0.5  # the supervisor's
SETTLE_S = 3.0  # as long a change of the cluster has to last


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated."""

    partitions: int = 1000
    workers: int = 200  # at most, and in the beginning
    minutes: float = 60.0
    frames_per_s: float = 100.0  # of one worker
    load: float = 0.7  # of what the workers in the beginning can score
    change_every_s: float = 10.0  # a worker dies, or one that is missing joins
    zombies: float = 0.2  # of those that die: they write on for a while
    begin_s: float = 10.0  # from being started to the first frame
    flush_s: float = 60.0
    flush_rows: int = 100_000
    seed: int = 1


def draw_rates(plan: Plan, finer: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Frames a second of each partition, or of so many times as many: sessions fall unevenly."""
    shape = np.random.default_rng(plan.seed).lognormal(0.0, 0.5, plan.partitions * finer)
    return np.asarray(shape / shape.sum() * plan.workers * plan.frames_per_s * plan.load)
