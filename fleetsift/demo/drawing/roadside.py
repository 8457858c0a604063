"""Paints trees, street lamps and traffic lights."""

from __future__ import annotations

from math import sin

from fleetsift.demo.drawing.canvas import Canvas
from fleetsift.demo.drawing.light import toned
from fleetsift.demo.world import Label, Lamp, Signal, Tree

IRON = (70, 74, 80)
RED, AMBER, GREEN = (240, 52, 40), (240, 180, 40), (60, 220, 120)

# A crown as (across, up, radius, brightness) of its puffs, in parts of its own radius, from shaded foot to sunny top.
_PUFFS = (
    (-0.45, -0.35, 0.62, 0.72),
    (0.45, -0.30, 0.64, 0.78),
    (0.0, 0.05, 0.88, 0.90),
    (-0.40, 0.28, 0.58, 1.00),
    (0.36, 0.38, 0.55, 1.06),
    (-0.05, 0.58, 0.46, 1.16),
)


def paint_tree(canvas: Canvas, tree: Tree) -> None:
    """Paint a tree: a trunk, and puffs of leaves that grow lighter towards the top."""
    radius = tree.height_m * 0.3
    centre_m = tree.height_m - radius
    trunk = [(tree.x_m, 0.0, tree.s_m), (tree.x_m, centre_m, tree.s_m)]
    canvas.limb(trunk, 0.26, (96, 76, 60), Label.VEGETATION)
    for index, (across, up, size, bright) in enumerate(_PUFFS):
        wobble = 1 + 0.24 * sin(tree.seed * 1.7 + index * 2.3)
        middle = (tree.x_m + across * radius * wobble, centre_m + up * radius, tree.s_m)
        extent = radius * size * wobble
        canvas.disc(middle, (extent, extent * 0.94), toned(tree.crown, bright), Label.VEGETATION)


def paint_lamp(canvas: Canvas, lamp: Lamp) -> None:
    """Paint a street lamp with its arm over the road."""
    arm = lamp.x_m * 0.72
    canvas.limb([(lamp.x_m, 0, lamp.s_m), (lamp.x_m, 6.8, lamp.s_m)], 0.18, IRON, Label.POLE)
    canvas.limb([(lamp.x_m, 6.8, lamp.s_m), (arm, 7.1, lamp.s_m)], 0.13, IRON, Label.POLE)
    canvas.disc((arm, 7.0, lamp.s_m), (0.42, 0.16), (208, 206, 196), Label.POLE, shine=(255, 222, 160))


def paint_signal(canvas: Canvas, signal: Signal) -> None:
    """Paint a traffic light: three lenses, one of them lit."""
    x_m, s_m = signal.x_m, signal.s_m
    canvas.limb([(x_m, 0, s_m), (x_m, 3.6, s_m)], 0.16, IRON, Label.POLE)
    head = [(x_m - 0.3, 2.9, s_m), (x_m + 0.3, 2.9, s_m), (x_m + 0.3, 4.3, s_m), (x_m - 0.3, 4.3, s_m)]
    canvas.face(head, (34, 36, 40), Label.POLE)
    for y_m, colour, on in ((4.05, RED, signal.red), (3.6, AMBER, False), (3.15, GREEN, not signal.red)):
        lens = colour if on else toned(colour, 0.3)
        canvas.disc((x_m, y_m, s_m), (0.17, 0.17), lens, None, shine=colour if on else None)
