"""What stands and moves in a simulated street.

Every place is given in metres: `x_m` to the right of the road's middle, `s_m` along the street, heights above the road.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

Colour = tuple[int, int, int]  # RGB, 0..255, as the thing looks in plain daylight

LANE_M = 1.7  # middle of the right-hand lane; the other one is at -LANE_M
PARKING_M = 4.6  # middle of the parking lane
ROAD_M = 5.6  # half the width of the road, parking lanes included
KERB_M = 9.0  # where the sidewalk ends


class Label(IntEnum):
    """The classes of a label map, by value."""

    SKY = 0
    BUILDING = 1
    ROAD = 2
    SIDEWALK = 3
    VEGETATION = 4
    POLE = 5
    CAR = 6
    PERSON = 7
    BICYCLE = 8


CLASSES = tuple(label.name.lower() for label in Label)


class TimeOfDay(StrEnum):
    """How much light there is."""

    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"


class Weather(StrEnum):
    """What the sky does."""

    CLEAR = "clear"
    OVERCAST = "overcast"
    RAIN = "rain"


class Event(StrEnum):
    """What is special about a drive."""

    NOTHING = "nothing"
    RED_LIGHT = "red_light"  # waits for most of the drive: frames nearly alike
    CROWD = "crowd"  # waits while many people cross
    BICYCLES = "bicycles"  # a group ride


@dataclass(frozen=True, slots=True)
class Theme:
    """What kind of drive it is."""

    time_of_day: TimeOfDay
    weather: Weather
    event: Event = Event.NOTHING


@dataclass(frozen=True, slots=True)
class Building:
    """A house along one side of the street, from `s_m` to `end_m`."""

    side: int  # -1 left, +1 right
    s_m: float
    end_m: float
    height_m: float
    setback_m: float  # of the wall behind the sidewalk
    wall: Colour
    shop: Colour | None  # the awning and sign of a shop on the ground floor
    seed: int  # which of its windows are lit


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree on the sidewalk or in a garden."""

    x_m: float
    s_m: float
    height_m: float
    crown: Colour
    seed: int  # how its crown is shaped


@dataclass(frozen=True, slots=True)
class Lamp:
    """A street lamp whose arm reaches over the road."""

    x_m: float
    s_m: float


@dataclass(frozen=True, slots=True)
class Signal:
    """A traffic light for the own direction."""

    x_m: float
    s_m: float
    red: bool


@dataclass(frozen=True, slots=True)
class Car:
    """A car, or a van; `s_m` is its end nearest to where the street begins."""

    x_m: float
    s_m: float
    paint: Colour
    oncoming: bool = False
    van: bool = False
    braking: bool = False
    parked: bool = False  # its lights are off

    @property
    def length_m(self) -> float:
        """From bumper to bumper."""
        return 5.2 if self.van else 4.3


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on foot, who faces along (0, 1), against (0, -1) or across (±1, 0) the street."""

    x_m: float
    s_m: float
    height_m: float
    facing: tuple[int, int]
    step: float  # where in the walking cycle, 0..1
    shirt: Colour
    trousers: Colour
    skin: Colour
    still: bool = False


@dataclass(frozen=True, slots=True)
class Bicycle:
    """A bicycle and its rider, if it has one; `x_m` and `s_m` are the middle between its wheels."""

    x_m: float
    s_m: float
    facing: tuple[int, int]
    frame: Colour
    turn: float = 0.0  # of the pedals, 0..1
    rider: Person | None = None  # only looks and height are taken from it


Thing = Building | Tree | Lamp | Signal | Car | Person | Bicycle


@dataclass(frozen=True, slots=True)
class Street:
    """What does not move, over the whole length of a drive."""

    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    lamps: tuple[Lamp, ...]
    crossings: tuple[float, ...]  # s_m where each zebra begins
    parked: tuple[Car | Bicycle, ...]
    skyline: int  # seed of the silhouette at the horizon
