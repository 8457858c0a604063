"""How even shares are where partitions differ in load: dealt by their loads, as the product does, and by count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fleetsift.streaming.fleet.shares import share_out

Rates = np.ndarray[Any, np.dtype[np.float64]]


def an_hour_of(rates: Rates) -> dict[int, int]:
    """What each partition brings in an hour."""
    return {partition: round(rate * 3600) for partition, rate in enumerate(rates)}


def busiest_by_load(rates: Rates, workers: int) -> float:
    """The busiest worker's load over the mean."""
    return _busiest(rates, workers, an_hour_of(rates))


def busiest_by_count(rates: Rates, workers: int) -> float:
    """The same, where nobody knows the loads."""
    return _busiest(rates, workers, dict.fromkeys(range(len(rates)), 1))


def _busiest(rates: Rates, workers: int, known: Mapping[int, int]) -> float:
    loads = [float(rates[list(share)].sum()) for share in share_out(known, workers)]
    return max(loads) / (sum(loads) / len(loads))
