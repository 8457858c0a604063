"""One street scene: its description, and the picture and labels that are drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetsift.demo.drawing.backdrop import paint_ground, paint_sky
from fleetsift.demo.drawing.camera import FAR_M, Camera
from fleetsift.demo.drawing.canvas import Canvas
from fleetsift.demo.drawing.cars import paint_car
from fleetsift.demo.drawing.houses import paint_building
from fleetsift.demo.drawing.light import light_of
from fleetsift.demo.drawing.people import paint_bicycle, paint_person
from fleetsift.demo.drawing.roadside import paint_lamp, paint_signal, paint_tree
from fleetsift.demo.drawing.sensor import expose
from fleetsift.demo.world import Bicycle, Building, Car, Lamp, Person, Signal, Street, Thing, TimeOfDay, Tree, Weather


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a frame shows; the same scene always gives the same picture."""

    time_of_day: TimeOfDay
    weather: Weather
    street: Street
    camera: Camera
    traffic: tuple[Car | Person | Bicycle | Signal, ...]
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # gains of the camera's red, green and blue
    noise_seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A drawn scene and its truth."""

    image: NDArray[np.uint8]  # (height, width, 3) RGB
    labels: NDArray[np.uint8]  # (height, width), values of world.Label


def draw_scene(scene: Scene) -> Picture:
    """Draw a scene: backdrop first, then every thing in sight from the farthest to the nearest."""
    street = scene.street
    canvas = Canvas(scene.camera, light_of(scene.time_of_day, scene.weather))
    paint_sky(canvas, street, scene.time_of_day, scene.weather)
    paint_ground(canvas, street, scene.weather)
    standing: tuple[Thing, ...] = (*street.buildings, *street.trees, *street.lamps, *street.parked)
    visible = [thing for thing in (*standing, *scene.traffic) if _in_sight(thing, scene.camera)]
    for thing in sorted(visible, key=_order_m, reverse=True):
        _PAINTERS[type(thing)](canvas, thing)
    image = expose(canvas, street.lamps, scene.weather, scene.tint, scene.noise_seed)
    return Picture(image, np.array(canvas.labels))


_PAINTERS: dict[type[Thing], Callable[[Canvas, Any], None]] = {
    Building: paint_building,
    Tree: paint_tree,
    Lamp: paint_lamp,
    Signal: paint_signal,
    Car: paint_car,
    Person: paint_person,
    Bicycle: paint_bicycle,
}


def _order_m(thing: Thing) -> float:
    """Where a thing stands in the order: a house by its far end, so that what stands before it is painted later."""
    return thing.end_m if isinstance(thing, Building) else thing.s_m


def _in_sight(thing: Thing, camera: Camera) -> bool:
    """Whether a thing is ahead of the camera and near enough to fill a pixel."""
    if isinstance(thing, Building):
        return thing.end_m > camera.s_m + 2.5 and thing.s_m < camera.s_m + FAR_M
    if isinstance(thing, Car):
        return -1.5 < thing.s_m - camera.s_m < FAR_M * 0.8
    return 2.6 < thing.s_m - camera.s_m < FAR_M * 0.6
