"""One drive of one vehicle, and the scene its camera sees at any moment of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sin

import numpy as np

from fleetsift.demo.course import Course, plan_course
from fleetsift.demo.drawing.camera import FAR_M, Camera
from fleetsift.demo.scenes import Scene
from fleetsift.demo.streets import CAR_PAINTS, City, lay_out_street, pick
from fleetsift.demo.traffic import Mover, fill_street
from fleetsift.demo.world import LANE_M, ROAD_M, Car, Event, Signal, Street, Theme

HEADWAY_S = 1.6  # the car ahead is where the own vehicle will be so much later, and a gap
CURVE_AHEAD_M = 30.0  # the bend that is in view


@dataclass(frozen=True, slots=True)
class Leader:
    """The car ahead, in the own lane."""

    car: Car
    gap_m: float  # when both stand


@dataclass(frozen=True, slots=True)
class Drive:
    """A planned drive; times are seconds from its beginning."""

    theme: Theme
    street: Street
    course: Course
    movers: tuple[Mover, ...]
    leader: Leader | None
    tint: tuple[float, float, float]
    seed: int

    def scene(self, time_s: float) -> Scene:
        """What there is to see; nothing is drawn."""
        ahead = [] if self.leader is None else [self._leader_at(time_s, self.leader)]
        return Scene(
            time_of_day=self.theme.time_of_day,
            weather=self.theme.weather,
            street=self.street,
            camera=self._camera_at(time_s),
            traffic=(*(mover.at(time_s) for mover in self.movers), *self._signals_at(time_s), *ahead),
            tint=self.tint,
            noise_seed=self.seed + round(time_s * 1000),
        )

    def _camera_at(self, time_s: float) -> Camera:
        """The vehicle sways in its lane, nods when it brakes, and shakes with the road."""
        course = self.course
        s_m = course.way_at(time_s)
        gained_mps = course.speed_at(time_s) - course.speed_at(time_s - 0.4)
        return Camera(
            s_m=s_m,
            x_m=LANE_M + 0.15 * sin(s_m / 17),
            bend_per_m=course.bends.at(s_m + CURVE_AHEAD_M),
            heading_deg=course.heading_at(time_s),
            pitch_px=1.2 * gained_mps + 0.8 * sin(s_m / 2.3),
        )

    def _signals_at(self, time_s: float) -> list[Signal]:
        halt = self.course.halt
        if halt is None:
            return []
        return [Signal(side * (ROAD_M + 0.4), halt.crossing_m - 0.5, halt.is_red(time_s)) for side in (-1, 1)]

    def _leader_at(self, time_s: float, leader: Leader) -> Car:
        course, later = self.course, time_s + HEADWAY_S
        speed_mps = course.speed_at(later)
        braking = speed_mps < 0.2 or course.speed_at(later + 0.3) < speed_mps - 0.05
        return replace(leader.car, s_m=course.way_at(later) + leader.gap_m, braking=braking)


def plan_drive(
    theme: Theme, city: City, duration_s: float, tint: tuple[float, float, float], rng: np.random.Generator
) -> Drive:
    """Plan a drive of a kind in a city; everything left open is drawn from `rng`."""
    leader = None
    if theme.event in (Event.NOTHING, Event.RED_LIGHT) and rng.random() < 0.5:
        leader = Leader(Car(LANE_M, 0.0, pick(CAR_PAINTS, rng), van=bool(rng.random() < 0.2)), rng.uniform(6.5, 9.0))
    halts = theme.event in (Event.RED_LIGHT, Event.CROWD)
    room_m = 5.0 if leader is None else leader.gap_m + 7.5  # from where it stands to the crossing
    cruise_mps = rng.uniform(4.0, 5.5) if theme.event is Event.BICYCLES else rng.uniform(5.5, 10.0)
    course = plan_course(cruise_mps, duration_s, room_m if halts else None, rng)
    length_m = float(course.way_m[-1]) + FAR_M
    return Drive(
        theme=theme,
        street=lay_out_street(city, length_m, () if course.halt is None else (course.halt.crossing_m,), rng),
        course=course,
        movers=tuple(fill_street(theme, city, length_m, duration_s, course.halt, rng)),
        leader=leader,
        tint=tint,
        seed=int(rng.integers(1 << 40)),
    )
