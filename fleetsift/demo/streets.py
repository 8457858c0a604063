"""Streets of a few cities: rows of houses, trees, lamps and parked cars, laid out at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetsift.demo.world import (
    KERB_M,
    PARKING_M,
    ROAD_M,
    Bicycle,
    Building,
    Car,
    Colour,
    Lamp,
    Street,
    Tree,
)

CAR_PAINTS: tuple[Colour, ...] = (
    (214, 216, 218),
    (60, 64, 72),
    (150, 30, 34),
    (38, 76, 132),
    (176, 180, 184),
    (222, 188, 76),
    (44, 92, 78),
    (240, 240, 238),
    (110, 62, 46),
)
BICYCLE_FRAMES: tuple[Colour, ...] = ((196, 44, 40), (30, 96, 168), (36, 140, 88), (236, 176, 40), (50, 50, 56))


@dataclass(frozen=True, slots=True)
class City:
    """Where a vehicle drives, and how the streets look there."""

    name: str
    latitude: float
    longitude: float
    walls: tuple[Colour, ...]
    storeys: tuple[int, int]  # lowest and highest houses
    greenness: float  # 0 paved .. 1 trees everywhere
    bustle: float  # people for every hundred metres of sidewalk
    shops: float  # share of houses with one
    crowns: tuple[Colour, ...]


CITIES = (
    City(
        "lisbon",
        38.7167,
        -9.1395,
        ((236, 208, 160), (240, 186, 168), (176, 206, 220), (246, 236, 214), (232, 196, 118)),
        (2, 4),
        0.35,
        9.0,
        0.5,
        ((82, 128, 64), (104, 142, 70)),
    ),
    City(
        "hamburg",
        53.5503,
        10.0006,
        ((150, 78, 62), (170, 96, 74), (126, 70, 60), (206, 194, 180), (184, 120, 92)),
        (3, 6),
        0.6,
        6.0,
        0.35,
        ((66, 118, 62), (84, 132, 66), (96, 120, 58)),
    ),
    City(
        "oslo",
        59.9133,
        10.7389,
        ((190, 70, 56), (226, 180, 92), (108, 136, 150), (238, 236, 228), (92, 122, 96)),
        (2, 5),
        0.8,
        4.0,
        0.2,
        ((52, 104, 66), (78, 122, 72), (170, 140, 58)),
    ),
    City(
        "turin",
        45.0703,
        7.6869,
        ((222, 190, 138), (206, 168, 122), (230, 212, 180), (196, 150, 116), (214, 202, 186)),
        (4, 7),
        0.45,
        8.0,
        0.6,
        ((74, 122, 60), (92, 136, 64)),
    ),
)


def lay_out_street(city: City, length_m: float, crossings: tuple[float, ...], rng: np.random.Generator) -> Street:
    """A street as long as a drive and its view, with zebras at the given places."""
    sides = (-1, 1)
    return Street(
        buildings=tuple(house for side in sides for house in _houses(city, side, length_m, rng)),
        trees=tuple(tree for side in sides for tree in _trees(city, side, length_m, crossings, rng)),
        lamps=tuple(
            Lamp(side * (ROAD_M + 0.5), s + 14 * (side > 0)) for side in sides for s in np.arange(0, length_m, 28.0)
        ),
        crossings=crossings,
        parked=tuple(thing for side in sides for thing in _parked(city, side, length_m, crossings, rng)),
        skyline=int(rng.integers(1 << 30)),
    )


def pick(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    """One of some colours, a little lighter or darker than the others of its kind."""
    factor = rng.uniform(0.9, 1.08)
    red, green, blue = (min(int(c * factor), 255) for c in colours[rng.integers(len(colours))])
    return red, green, blue


def _houses(city: City, side: int, length_m: float, rng: np.random.Generator) -> list[Building]:
    """A row of houses with gaps, where gardens show."""
    houses = []
    s_m = -rng.uniform(0, 12)
    while s_m < length_m:
        end_m = s_m + rng.uniform(9, 20)
        storeys = rng.integers(city.storeys[0], city.storeys[1] + 1)
        setback_m = rng.choice([0.0, rng.uniform(1.5, 4.0)], p=[1 - city.greenness / 2, city.greenness / 2])
        shop = pick(((178, 52, 46), (44, 96, 84), (52, 74, 128), (206, 160, 62)), rng) if setback_m == 0 else None
        houses.append(
            Building(
                side=side,
                s_m=s_m,
                end_m=end_m,
                height_m=float(storeys * 3.3 + rng.uniform(1.0, 1.8)),
                setback_m=float(setback_m),
                wall=pick(city.walls, rng),
                shop=shop if rng.random() < city.shops else None,
                seed=int(rng.integers(1 << 30)),
            )
        )
        s_m = end_m + rng.choice([0.0, rng.uniform(4, 16)], p=[1 - city.greenness / 2, city.greenness / 2])
    return houses


def _trees(
    city: City, side: int, length_m: float, crossings: tuple[float, ...], rng: np.random.Generator
) -> list[Tree]:
    """Trees along the kerb, and gardens behind the sidewalk."""
    trees = []
    for s_m in np.arange(4.0, length_m, 7.0):
        place = float(s_m + rng.uniform(-1.5, 1.5))
        if rng.random() < city.greenness * 0.7 and not _near_crossing(place, crossings):
            x_m = side * (ROAD_M + 1.0)
            trees.append(Tree(x_m, place, rng.uniform(4.6, 7.5), pick(city.crowns, rng), int(rng.integers(99))))
        if rng.random() < city.greenness * 0.5:
            x_m = side * (KERB_M + rng.uniform(1, 8))
            trees.append(Tree(x_m, place + 2, rng.uniform(3.5, 9.5), pick(city.crowns, rng), int(rng.integers(99))))
    return trees


def _parked(
    city: City, side: int, length_m: float, crossings: tuple[float, ...], rng: np.random.Generator
) -> list[Car | Bicycle]:
    """Cars at the kerb with gaps between them, and here and there a bicycle on the sidewalk."""
    parked: list[Car | Bicycle] = []
    density = rng.uniform(0.15, 0.75)
    for s_m in np.arange(0.0, length_m, 6.4):
        place = float(s_m + rng.uniform(0, 0.8))
        if rng.random() < density and not _near_crossing(place, crossings):
            paint, van = pick(CAR_PAINTS, rng), rng.random() < 0.12
            parked.append(Car(side * PARKING_M, place, paint, oncoming=side < 0, van=bool(van), parked=True))
        if rng.random() < 0.015:
            parked.append(Bicycle(side * (ROAD_M + 0.8), place, (0, 1), pick(BICYCLE_FRAMES, rng)))
    return parked


def _near_crossing(s_m: float, crossings: tuple[float, ...]) -> bool:
    """Nothing stands where people cross."""
    return any(-7 < s_m - crossing < 5 for crossing in crossings)
