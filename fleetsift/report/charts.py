"""The geometry of a histogram: where its bars, steps and ticks stand. The template draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fleetsift.report.facts import Edges, Histogram, Shares
from fleetsift.report.histograms import round_step
from fleetsift.report.wording import number, percent

WIDTH, HEIGHT = 360, 190
MAP_WIDTH = 1000  # of an embedding map; whole numbers place its dots finely enough
LEFT, RIGHT, TOP, BOTTOM = 38, 352, 10, 164  # of the plot inside the drawing


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin of the pool."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A histogram, ready to be drawn: the pool as bars, the batch as one line of steps over them."""

    pool: tuple[Bar, ...]
    batch: str  # an SVG path
    other: str | None  # of the batch it is compared with
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    description: str  # for who cannot see it


def plot(histogram: Histogram) -> Plot:
    """Lay out a histogram; both sides have one scale, in shares of their own frames."""
    edges, highest = histogram.edges, max(*histogram.pool, *histogram.batch, *(histogram.other or ()))
    step = round_step(highest / 4)
    ceiling = math.ceil(highest / step) * step

    def x(value: float) -> float:
        return round(LEFT + (value - edges[0]) / (edges[-1] - edges[0]) * (RIGHT - LEFT), 2)

    def y(share: float) -> float:
        return round(BOTTOM - share / ceiling * (BOTTOM - TOP), 2)

    bars = (
        Bar(x(left), y(share), round(x(right) - x(left), 2), round(BOTTOM - y(share), 2))
        for left, right, share in zip(edges, edges[1:], histogram.pool, strict=False)
        if share
    )

    def steps(shares: Shares) -> str:
        risers = (f"V{y(share)}H{x(right)}" for right, share in zip(edges[1:], shares, strict=True))
        return f"M{x(edges[0])} {BOTTOM}{''.join(risers)}V{BOTTOM}"

    return Plot(
        pool=tuple(bars),
        batch=steps(histogram.batch),
        other=None if histogram.other is None else steps(histogram.other),
        across=tuple(Tick(x(value), number(value)) for value in _ticks(edges)),
        up=tuple(Tick(y(k * step), percent(k * step)) for k in range(1, round(ceiling / step) + 1)),
        description=f"{_peak('pool', edges, histogram.pool)} {_peak('batch', edges, histogram.batch)}",
    )


def dots(places: Iterable[tuple[float, float]]) -> str:
    """An SVG path of dots, one for each place in widths of the map; its round line ends draw them."""
    return "".join(f"M{round(x * MAP_WIDTH)} {round(y * MAP_WIDTH)}h0" for x, y in places)


def _ticks(edges: Edges) -> list[float]:
    """At most five round numbers within the edges."""
    step = round_step((edges[-1] - edges[0]) / 4)
    return [k * step for k in range(math.ceil(edges[0] / step), math.floor(edges[-1] / step) + 1)]


def _peak(side: str, edges: Edges, shares: Shares) -> str:
    share = max(shares)
    if not share:
        return f"No frame of the {side} has a value."
    k = shares.index(share)
    return f"The fullest bin of the {side}, {number(edges[k])} to {number(edges[k + 1])}, holds {percent(share)}."
