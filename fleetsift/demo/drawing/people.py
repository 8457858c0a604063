"""Paints people on foot and on bicycles, as strokes through the places of their limbs."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

from fleetsift.demo.drawing.canvas import ROUND, Canvas, Point
from fleetsift.demo.drawing.light import toned
from fleetsift.demo.world import Bicycle, Colour, Label, Person

TYRE, IRON, HAIR = (28, 28, 32), (70, 74, 80), (62, 46, 38)


def paint_person(canvas: Canvas, person: Person) -> None:
    """Paint somebody in mid-step."""
    tall = person.height_m
    along_x, along_s = person.facing

    def at(forward: float, up: float, right: float = 0.0) -> Point:
        """A place on the body, in parts of its height."""
        x_m = person.x_m + (forward * along_x + right * along_s) * tall
        return x_m, up * tall, person.s_m + (forward * along_s - right * along_x) * tall

    swing = 0.0 if person.still else sin(2 * pi * person.step)
    for side in (-1, 1):
        knee, foot = 0.07 * side * swing + 0.02, 0.16 * side * swing
        leg = [at(0, 0.5, 0.05 * side), at(knee, 0.27, 0.06 * side), at(foot, 0.02, 0.06 * side)]
        canvas.limb(leg, 0.17, person.trousers, Label.PERSON)
    canvas.limb([at(0, 0.5), at(0, 0.80)], 0.40, person.shirt, Label.PERSON)
    for side in (-1, 1):
        elbow, hand = at(-0.05 * side * swing, 0.62, 0.14 * side), at(-0.11 * side * swing, 0.48, 0.14 * side)
        arm = [at(0, 0.79, 0.12 * side), elbow, hand]
        canvas.limb(arm, 0.12, toned(person.shirt, 0.84), Label.PERSON)
    face = HAIR if along_s > 0 else person.skin  # seen from behind
    canvas.disc(at(0.01, 0.925), (0.062 * tall, 0.075 * tall), face, Label.PERSON)
    canvas.disc(at(-0.005, 0.955), (0.064 * tall, 0.05 * tall), HAIR, Label.PERSON)


def paint_bicycle(canvas: Canvas, bicycle: Bicycle) -> None:
    """Paint a bicycle; its wheels are labelled as full discs, as annotators draw them."""
    along_x, along_s = bicycle.facing

    def at(forward: float, up: float, right: float = 0.0) -> Point:
        """A place on the bicycle, in metres from the middle between the wheels."""
        return (
            bicycle.x_m + forward * along_x + right * along_s,
            up,
            bicycle.s_m + forward * along_s - right * along_x,
        )

    seen_from_side = along_x != 0
    for middle in (-0.52, 0.52):
        rim = [at(middle + 0.34 * cos(a), 0.34 + 0.34 * sin(a)) for a in ROUND]
        if seen_from_side:
            canvas.disc(at(middle, 0.34), (0.35, 0.35), (122, 124, 128), Label.BICYCLE)
            canvas.disc(at(middle, 0.34), (0.05, 0.05), IRON, None)
        canvas.limb([*rim, rim[0]], 0.09, TYRE, Label.BICYCLE)
    saddle, pedals, fork, hub = at(-0.22, 0.9), at(-0.06, 0.3), at(0.36, 0.86), at(0.52, 0.34)
    for stroke in ([saddle, pedals, fork, at(-0.2, 0.74)], [at(-0.52, 0.34), pedals], [fork, hub]):
        canvas.limb(stroke, 0.08, bicycle.frame, Label.BICYCLE)
    canvas.limb([at(0.38, 1.02, -0.26), at(0.38, 1.02, 0.26)], 0.07, IRON, Label.BICYCLE)
    if bicycle.rider is not None:
        _paint_rider(canvas, bicycle, bicycle.rider, at)
    if not seen_from_side:
        back: Colour = (210, 30, 26) if along_s > 0 else (240, 240, 226)
        canvas.disc(at(-0.6 * along_s, 0.72), (0.06, 0.06), back, None, shine=back if canvas.light.lamps else None)


def _paint_rider(canvas: Canvas, bicycle: Bicycle, rider: Person, at: Callable[..., Point]) -> None:
    hip, shoulder, hand = at(-0.2, 0.98), at(0.06, 1.48), at(0.36, 1.05)
    for side in (-1, 1):
        angle = 2 * pi * bicycle.turn + (pi if side > 0 else 0)
        foot = at(-0.06 + 0.16 * cos(angle), 0.3 + 0.16 * sin(angle), 0.1 * side)
        knee = at(0.16 + 0.05 * cos(angle), 0.68 + 0.1 * sin(angle), 0.12 * side)
        canvas.limb([hip, knee, foot], 0.16, rider.trousers, Label.PERSON)
    canvas.limb([hip, shoulder], 0.38, rider.shirt, Label.PERSON)
    for side in (-1, 1):
        elbow = at(0.2, 1.2, 0.2 * side)
        canvas.limb([at(0.05, 1.44, 0.16 * side), elbow, hand], 0.11, toned(rider.shirt, 0.86), Label.PERSON)
    canvas.disc(at(0.12, 1.68), (0.11, 0.13), rider.skin, Label.PERSON)
    canvas.disc(at(0.1, 1.75), (0.125, 0.085), bicycle.frame, Label.PERSON)  # a helmet
