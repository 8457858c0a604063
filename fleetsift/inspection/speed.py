"""How many frames a second engines score, on pixels at hand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import median

from fleetsift.engines.engine import Engine
from fleetsift.inspection.sample import Pixels, batches

_LEAST_S, _ROUNDS = 1.0, 3  # how long and how often speed is measured, at least


def measure_speeds(engines: Mapping[str, Engine], pixels: Sequence[Pixels], size: int) -> dict[str, float]:
    """Frames a second of each engine, given `size` frames at once: the median of rounds that take turns."""
    batch = next(batches(cycle(pixels), size))
    rounds: dict[str, list[float]] = {name: [] for name in engines}
    until = time.perf_counter() + _LEAST_S
    while time.perf_counter() < until or len(next(iter(rounds.values()))) < _ROUNDS:
        for name, engine in engines.items():
            began = time.perf_counter()
            engine.score(batch)
            rounds[name].append(time.perf_counter() - began)
    return {name: len(batch) / median(seconds) for name, seconds in rounds.items()}
