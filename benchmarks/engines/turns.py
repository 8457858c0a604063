"""Ways to score frames, timed in turns: what else the machine does falls on all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


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


def take_turns(ways: Mapping[str, Way], seconds: float, turns: int = 3) -> Times:
    """Time each way in each turn, at least so many turns after one to warm up."""
    times: dict[str, list[Time]] = {name: [] for name in ways}
    turn, end = 0, time.perf_counter() + seconds
    while turn <= turns or time.perf_counter() < end:
        for name, way in ways.items():
            wait_until_idle()
            began, cpu_began = time.perf_counter(), time.process_time()
            way.run()
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            if turn:
                times[name].append(Time(1e3 * wall_s / way.frames, 1e3 * cpu_s / way.frames))
        turn += 1
    return times


def wait_until_idle(most_s: float = 5.0, used_s: Callable[[], float] = time.process_time) -> None:
    """Wait until no thread of this process is at work.

    Runtimes let their threads spin for a while after a run (ONNX Runtime's eight sessions: a good tenth of a second on
    all cores), which would be charged to the way that comes next.
    """
    end = time.perf_counter() + most_s
    while time.perf_counter() < end:
        before = used_s()
        time.sleep(0.02)
        if used_s() - before < 0.001:
            return


def wall_ms(times: Times, way: str) -> float:
    """The median over the turns."""
    return statistics.median(t.wall_ms for t in times[way])


def cpu_ms(times: Times, way: str) -> float:
    """The median over the turns."""
    return statistics.median(t.cpu_ms for t in times[way])


def speedup(times: Times, slow: str, fast: str) -> float:
    """How many times faster one way is than another: the median of the turns' ratios."""
    return statistics.median(s.wall_ms / f.wall_ms for s, f in zip(times[slow], times[fast], strict=True))


def take_pairs(first: Way, second: Way, seconds: float, pairs: int = 5) -> list[tuple[float, float]]:
    """CPU ms a frame of two ways on one thread, at least so many pairs after one to warm up.

    One follows the other at once, and every other pair the other way round: what the machine does for longer than a
    pair falls on both. Ways should take some tens of milliseconds.
    """
    taken: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(taken) <= pairs or time.perf_counter() < end:
        if len(taken) % 2:
            taken.append((_cpu_ms(first), _cpu_ms(second)))
        else:
            taken.append((_cpu_ms(second), _cpu_ms(first))[::-1])
    return taken[1:]


def _cpu_ms(way: Way) -> float:
    began = time.process_time()
    way.run()
    return 1e3 * (time.process_time() - began) / way.frames
