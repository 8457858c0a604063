"""Who else is in the street during a drive, and where everybody is at any moment of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fleetsift.demo.course import Halt
from fleetsift.demo.streets import BICYCLE_FRAMES, CAR_PAINTS, City, pick
from fleetsift.demo.world import LANE_M, ROAD_M, Bicycle, Car, Colour, Event, Person, Theme, TimeOfDay, Weather


@dataclass(frozen=True, slots=True)
class Mover:
    """A thing and how fast it goes where it faces; `thing` is where it is at time 0."""

    thing: Car | Person | Bicycle
    speed_mps: float
    starts_s: float = 0.0

    def at(self, time_s: float) -> Car | Person | Bicycle:
        """The thing as it is at a time."""
        thing = self.thing
        way = self.speed_mps * max(time_s - self.starts_s, 0)
        if isinstance(thing, Car):
            return replace(thing, s_m=thing.s_m - way if thing.oncoming else thing.s_m + way)
        x_m, s_m = thing.x_m + way * thing.facing[0], thing.s_m + way * thing.facing[1]
        if isinstance(thing, Person):
            waits = time_s < self.starts_s or self.speed_mps == 0
            return replace(thing, x_m=x_m, s_m=s_m, step=(thing.step + way / 1.5) % 1, still=waits)
        return replace(thing, x_m=x_m, s_m=s_m, turn=(thing.turn + way / 5) % 1)


SHIRTS: tuple[Colour, ...] = (
    (196, 60, 56),
    (56, 92, 160),
    (230, 226, 218),
    (228, 170, 60),
    (66, 122, 92),
    (120, 70, 128),
    (52, 54, 62),
)
TROUSERS: tuple[Colour, ...] = ((46, 52, 74), (36, 36, 40), (108, 96, 82), (70, 82, 104))
SKINS: tuple[Colour, ...] = ((236, 196, 168), (206, 160, 126), (150, 106, 78), (98, 68, 52))


def fill_street(
    theme: Theme, city: City, length_m: float, duration_s: float, halt: Halt | None, rng: np.random.Generator
) -> list[Mover]:
    """Everybody who moves during a drive, apart from the car ahead."""
    quiet = 0.4 if theme.time_of_day is TimeOfDay.NIGHT or theme.weather is Weather.RAIN else 1.0
    movers = _walkers(city.bustle * quiet * length_m / 100, length_m, rng)
    if halt is not None:
        many = 34 if theme.event is Event.CROWD else rng.integers(2, 6)
        movers += [_crossing(halt, rng) for _ in range(many)]
        movers += _waiting_cars(halt, rng)
    if theme.event is Event.BICYCLES:
        movers += _group_ride(duration_s, rng)
    elif halt is None:
        movers += _oncoming_cars(length_m, duration_s, rng)
    if rng.random() < 0.2:
        movers.append(Mover(_cyclist(3.2, rng.uniform(20, 60), (0, 1), rng), rng.uniform(3.5, 5)))
    return movers


def _oncoming_cars(length_m: float, duration_s: float, rng: np.random.Generator) -> list[Mover]:
    """Cars in the other lane, all equally fast so that none drives through another."""
    speed_mps, cars = rng.uniform(7, 11), []
    s_m = rng.uniform(5, 40)
    while s_m < length_m + speed_mps * duration_s:
        cars.append(Mover(_oncoming(s_m, rng), speed_mps))
        s_m += rng.uniform(14, 90)
    return cars


def _waiting_cars(halt: Halt, rng: np.random.Generator) -> list[Mover]:
    """A queue on the other side of the crossing, held by the same red light."""
    places = halt.crossing_m + 5.5 + np.cumsum(rng.uniform(6.5, 16, 5))
    return [Mover(_oncoming(float(s_m), rng), 6.0, starts_s=halt.end_s) for s_m in places]


def _oncoming(s_m: float, rng: np.random.Generator) -> Car:
    return Car(-LANE_M, s_m, pick(CAR_PAINTS, rng), oncoming=True, van=bool(rng.random() < 0.15))


def _somebody(x_m: float, s_m: float, facing: tuple[int, int], rng: np.random.Generator) -> Person:
    return Person(
        x_m, s_m, rng.uniform(1.5, 1.9), facing, rng.random(), pick(SHIRTS, rng), pick(TROUSERS, rng), pick(SKINS, rng)
    )


def _cyclist(x_m: float, s_m: float, facing: tuple[int, int], rng: np.random.Generator) -> Bicycle:
    return Bicycle(x_m, s_m, facing, pick(BICYCLE_FRAMES, rng), rng.random(), _somebody(x_m, s_m, facing, rng))


def _walkers(count: float, length_m: float, rng: np.random.Generator) -> list[Mover]:
    """People on the sidewalks."""
    walkers = []
    for _ in range(rng.poisson(2 * count)):
        x_m = rng.choice([-1, 1]) * rng.uniform(ROAD_M + 0.9, ROAD_M + 2.9)
        way = 1 if rng.random() < 0.5 else -1
        speed_mps = rng.choice([0.0, rng.uniform(1.0, 1.7)], p=[0.15, 0.85])
        walkers.append(Mover(_somebody(x_m, rng.uniform(0, length_m), (0, way), rng), float(speed_mps)))
    return walkers


def _crossing(halt: Halt, rng: np.random.Generator) -> Mover:
    """Somebody who waits at the kerb and crosses on the zebra while the vehicles stand."""
    way = 1 if rng.random() < 0.5 else -1
    x_m, s_m = -way * (ROAD_M + rng.uniform(0.5, 2.0)), halt.crossing_m + rng.uniform(0.2, 3.0)
    starts_s = rng.uniform(halt.begin_s - 4, max(halt.end_s - 7, halt.begin_s))
    return Mover(_somebody(x_m, s_m, (way, 0), rng), rng.uniform(1.0, 1.6), starts_s)


def _group_ride(duration_s: float, rng: np.random.Generator) -> list[Mover]:
    """Cyclists ahead in the own lane, others towards the vehicle, and some that cross."""
    ahead = [
        Mover(_cyclist(rng.uniform(0.6, 3.0), 6 + 2.2 * place + rng.uniform(-0.8, 0.8), (0, 1), rng), 4.8)
        for place in range(14)
    ]
    towards = [Mover(_cyclist(rng.uniform(-3.3, -3.0), 12 + 8 * place, (0, -1), rng), 4.0) for place in range(20)]
    across = []
    for _ in range(10):
        way = 1 if rng.random() < 0.5 else -1
        starts_s = rng.uniform(0, duration_s)
        bicycle = _cyclist(-way * 7.5, 4.6 * starts_s + rng.uniform(14, 26), (way, 0), rng)
        across.append(Mover(bicycle, rng.uniform(2.5, 3.5), starts_s))
    return [*ahead, *towards, *across]
