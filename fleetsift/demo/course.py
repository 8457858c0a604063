"""How a vehicle moves during a drive: its way along the street, where it halts, where it heads."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, degrees, pi, sin

import numpy as np
from numpy.typing import NDArray

TICK_S = 0.05  # how finely the way is integrated
MARGIN_S = 8.0  # the way goes on so long after the drive, for the car ahead
BRAKING_MPS2, STARTING_MPS2 = 2.2, 1.6


@dataclass(frozen=True, slots=True)
class Halt:
    """A red light: where the crossing is, and how long the vehicle stands before it."""

    crossing_m: float
    begin_s: float
    end_s: float

    def is_red(self, time_s: float) -> bool:
        """The light turns before the vehicle slows down, and turns back just before it goes."""
        return self.begin_s - 4.5 <= time_s < self.end_s - 0.4


@dataclass(frozen=True, slots=True)
class Bends:
    """A street that winds: its curvature (1/m, positive to the right) is a sine of the way."""

    strongest_per_m: float
    wavelength_m: float
    phase: float

    def at(self, s_m: float) -> float:
        """The curvature at a place."""
        return self.strongest_per_m * sin(self._angle(s_m))

    def turned_deg(self, s_m: float) -> float:
        """How far a vehicle has turned since the street began: the curvature, integrated."""
        swing = self.strongest_per_m * self.wavelength_m / (2 * pi)
        return degrees(swing * (cos(self.phase) - cos(self._angle(s_m))))

    def _angle(self, s_m: float) -> float:
        return 2 * pi * s_m / self.wavelength_m + self.phase


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The movement of one vehicle; times are seconds from the beginning of its drive."""

    way_m: NDArray[np.float64]  # (ticks,) how far it has come
    halt: Halt | None
    bends: Bends
    heading_deg: float  # at the beginning, clockwise from north

    def way_at(self, time_s: float) -> float:
        """How far the vehicle has come, metres."""
        tick, share = divmod(max(time_s, 0.0) / TICK_S, 1)
        before, after = self.way_m[int(tick) : int(tick) + 2].tolist()
        return float(before + share * (after - before))

    def speed_at(self, time_s: float) -> float:
        """Speed, m/s."""
        return (self.way_at(time_s + TICK_S) - self.way_at(time_s)) / TICK_S

    def heading_at(self, time_s: float) -> float:
        """Degrees clockwise from north, 0 to 360."""
        return (self.heading_deg + self.bends.turned_deg(self.way_at(time_s))) % 360


def plan_course(cruise_mps: float, duration_s: float, halts_before_m: float | None, rng: np.random.Generator) -> Course:
    """A course that cruises, or that stands for most of the drive so far before a crossing."""
    time_s = np.arange(0, duration_s + MARGIN_S, TICK_S)
    speed_mps = cruise_mps * (1 + 0.12 * np.sin(time_s / rng.uniform(3, 6) + rng.uniform(0, 6)))
    halt = None
    if halts_before_m is not None:
        begin_s = rng.uniform(2.5, 4.5)
        end_s = max(duration_s - rng.uniform(1.0, 3.0), begin_s)
        slowing, starting = BRAKING_MPS2 * (begin_s - time_s), STARTING_MPS2 * (time_s - end_s)
        speed_mps = np.minimum(speed_mps, np.where(time_s < begin_s, slowing, np.clip(starting, 0, None)))
        stands_m = float(speed_mps[time_s < begin_s].sum()) * TICK_S
        halt = Halt(stands_m + halts_before_m, begin_s, end_s)
    return Course(
        way_m=np.concatenate([[0.0], np.cumsum(speed_mps) * TICK_S]),
        halt=halt,
        bends=Bends(rng.uniform(0, 1 / 160), rng.uniform(180, 340), rng.uniform(0, 2 * pi)),
        heading_deg=rng.uniform(0, 360),
    )
