"""How even shares are where partitions differ in load: dealt by count, as the product does, and by known loads."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from fleetsift.streaming.fleet.shares import share_out

Rates = np.ndarray[Any, np.dtype[np.float64]]


def busiest_by_count(rates: Rates, workers: int) -> float:
    """The busiest worker's load over the mean, where no worker has two partitions more than another."""
    return _over_mean([float(rates[list(share)].sum()) for share in share_out(range(len(rates)), workers)])


def busiest_by_load(rates: Rates, workers: int) -> float:
    """The same, where each partition, the largest first, goes to whoever has least so far."""
    loads = [0.0] * workers
    for rate in sorted(rates, reverse=True):
        heapq.heapreplace(loads, loads[0] + float(rate))
    return _over_mean(loads)


def _over_mean(loads: Sequence[float]) -> float:
    return max(loads) / (sum(loads) / len(loads))
