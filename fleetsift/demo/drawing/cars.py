"""Paints cars and vans, from behind or from the front, with the side that shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import cos, sin

from fleetsift.demo.drawing.canvas import CLEAR_SIGHT_M, ROUND, Canvas, Point
from fleetsift.demo.drawing.light import toned
from fleetsift.demo.world import Car, Label

TYRE = (28, 28, 32)


@dataclass(frozen=True, slots=True)
class Body:
    """A car's shape: the outline of its side as (metres from the tail, height), and how wide it is."""

    outline: tuple[tuple[float, float], ...]
    glass: tuple[tuple[float, float], ...]
    belt_m: float  # up to here the sides are upright; above they lean inwards
    roof_m: float
    half_m: float  # half the width up to the belt
    half_roof_m: float

    def half_at(self, y_m: float) -> float:
        """Half the width at a height."""
        rise = min(max((y_m - self.belt_m) / (self.roof_m - self.belt_m), 0.0), 1.0)
        return self.half_m + (self.half_roof_m - self.half_m) * rise


SALOON = Body(
    outline=((0, 0.32), (0, 0.92), (0.5, 1.0), (0.95, 1.46), (2.7, 1.46), (3.35, 0.98), (4.25, 0.84), (4.3, 0.34)),
    glass=((0.74, 1.02), (1.04, 1.38), (2.62, 1.38), (3.1, 1.02)),
    belt_m=1.0,
    roof_m=1.46,
    half_m=0.89,
    half_roof_m=0.7,
)
VAN = Body(
    outline=((0, 0.34), (0, 1.2), (0.08, 2.12), (3.9, 2.12), (4.5, 1.3), (5.15, 1.1), (5.2, 0.36)),
    glass=((3.0, 1.3), (3.0, 1.95), (3.85, 1.95), (4.35, 1.3)),
    belt_m=1.2,
    roof_m=2.12,
    half_m=0.98,
    half_roof_m=0.9,
)
_TYRE_RECTANGLE = ((0.62, 0.0), (0.95, 0.0), (0.95, 0.32), (0.62, 0.32))  # (share of the half width, height)


def paint_car(canvas: Canvas, car: Car) -> None:
    """Paint a car as the outline of its side, extruded: the side the camera sees, then the end, from the roof down."""
    body = VAN if car.van else SALOON
    length_m = car.length_m
    side = -1 if car.x_m > canvas.camera.x_m else 1
    detailed = canvas.camera.distance_m(car.s_m) < CLEAR_SIGHT_M

    def flank(outline: Iterable[tuple[float, float]]) -> list[Point]:
        """An outline on the side that the camera sees; an oncoming car shows its nose first."""
        return [
            (car.x_m + side * body.half_at(y), y, car.s_m + (length_m - along if car.oncoming else along))
            for along, y in outline
        ]

    wide, end_m = body.half_m + 0.12, car.s_m + length_m
    shadow = [(car.x_m - wide, 0.0, car.s_m - 0.1), (car.x_m + wide, 0.0, car.s_m - 0.1), (car.x_m + wide, 0.0, end_m)]
    canvas.face([*shadow, (car.x_m - wide, 0.0, end_m)], (40, 40, 44), None)
    canvas.face(flank(body.outline), toned(car.paint, 0.82), Label.CAR)
    if detailed:
        canvas.face(flank(body.glass), (58, 70, 84), None)
        for axle in (0.8, length_m - 0.85):
            canvas.face(flank((axle + 0.34 * cos(a), 0.34 + 0.34 * sin(a)) for a in ROUND), TYRE, Label.CAR)
    _paint_end(canvas, car, body)
    _paint_car_lights(canvas, car, body)


def _paint_end(canvas: Canvas, car: Car, body: Body) -> None:
    """The end that faces the camera: glass and bonnet, the body below, tyres, bumper and number plate."""
    outline = [(car.length_m - along, y) for along, y in reversed(body.outline)] if car.oncoming else body.outline
    roof = next(index for index, (_, y) in enumerate(outline) if y == body.roof_m)
    for index in range(roof - 1, -1, -1):
        (near, low), (far, high) = outline[index], outline[index + 1]
        is_screen = index > 0 and high - low > 0.3
        canvas.face(
            _across(car, body, near, low, far, high, 1.0), toned(car.paint, 0.94 + 0.1 * (index == 1)), Label.CAR
        )
        if is_screen:
            edge = 0.08 * (far - near), 0.08 * (high - low)
            glass = _across(car, body, near + edge[0], low + edge[1], far - edge[0], high - edge[1], 0.87)
            canvas.face(glass, (72, 86, 100), None)
    for side in (-1, 1):
        tyre = [(car.x_m + side * body.half_m * share, y, car.s_m) for share, y in _TYRE_RECTANGLE]
        canvas.face(tyre, TYRE, Label.CAR)
    canvas.face(_across(car, body, 0, 0.28, 0, 0.43, 0.98), (54, 56, 60), Label.CAR)
    canvas.face(_across(car, body, 0, 0.52, 0, 0.64, 0.3), (236, 236, 226), None)


def _across(car: Car, body: Body, near: float, low: float, far: float, high: float, share: float) -> list[Point]:
    """A strip over a share of the car's width, from (near, low) up to (far, high)."""
    lower, upper = share * body.half_at(low), share * body.half_at(high)
    x_m, s_m = car.x_m, car.s_m
    return [
        (x_m - lower, low, s_m + near),
        (x_m + lower, low, s_m + near),
        (x_m + upper, high, s_m + far),
        (x_m - upper, high, s_m + far),
    ]


def _paint_car_lights(canvas: Canvas, car: Car, body: Body) -> None:
    shining = canvas.light.lamps > 0 and not car.parked
    if car.oncoming:
        colour, shine = (236, 238, 230), (255, 248, 224)
    elif car.braking:
        colour, shine = (238, 42, 34), (255, 40, 26)
    else:
        colour, shine = (164, 30, 30), (190, 24, 16)
    for side in (-1, 1):
        lamp = (car.x_m + side * body.half_m * 0.78, 0.76, car.s_m)
        canvas.disc(lamp, (0.18, 0.1), colour, None, shine if shining else None)
    if car.braking and not car.oncoming:
        canvas.disc((car.x_m, body.belt_m + 0.34, car.s_m + 0.5), (0.2, 0.04), colour, None, shine if shining else None)
