"""One scene: a pure function of its description, with labels that are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetsift.demo.drawing.camera import HEIGHT, WIDTH, Camera
from fleetsift.demo.scenes import Scene, draw_scene
from fleetsift.demo.world import CLASSES, LANE_M, Bicycle, Car, Label, Person, Street, TimeOfDay, Weather

EMPTY = Street(buildings=(), trees=(), lamps=(), crossings=(), parked=(), skyline=3)
CAMERA = Camera(s_m=0.0, x_m=LANE_M)
SOMEBODY = Person(LANE_M, 8.0, 1.75, (0, 1), 0.3, (200, 60, 60), (40, 40, 60), (200, 160, 130))


def scene(*traffic: Car | Person | Bicycle, time: TimeOfDay = TimeOfDay.DAY, weather: Weather = Weather.CLEAR) -> Scene:
    return Scene(time, weather, EMPTY, CAMERA, traffic)


def area(a_scene: Scene, label: Label) -> int:
    """How many pixels of a class there are."""
    return int((draw_scene(a_scene).labels == label).sum())


def test_a_picture_and_its_labels_have_the_frame_size() -> None:
    picture = draw_scene(scene())
    assert picture.image.shape == (HEIGHT, WIDTH, 3)
    assert picture.labels.shape == (HEIGHT, WIDTH)
    assert picture.image.dtype == picture.labels.dtype == np.uint8


@pytest.mark.parametrize("time", TimeOfDay)
@pytest.mark.parametrize("weather", Weather)
def test_the_same_scene_gives_the_same_picture(time: TimeOfDay, weather: Weather) -> None:
    first, second = (draw_scene(scene(SOMEBODY, time=time, weather=weather)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("thing", "label"),
    [
        (Car(LANE_M, 12.0, (180, 30, 30)), Label.CAR),
        (Car(-LANE_M, 12.0, (180, 30, 30), oncoming=True, van=True), Label.CAR),
        (SOMEBODY, Label.PERSON),
        (Bicycle(LANE_M, 8.0, (1, 0), (30, 90, 160), rider=SOMEBODY), Label.BICYCLE),
        (Bicycle(LANE_M, 8.0, (0, 1), (30, 90, 160)), Label.BICYCLE),
    ],
)
def test_a_thing_is_where_its_label_is(thing: Car | Person | Bicycle, label: Label) -> None:
    without, with_thing = draw_scene(scene()), draw_scene(scene(thing))
    changed = np.abs(without.image.astype(int) - with_thing.image).max(axis=2) > 12
    labelled = with_thing.labels == label
    assert labelled.sum() > 40
    assert not (without.labels == label).any()
    assert changed[labelled].mean() > 0.6


def test_a_thing_shrinks_with_its_distance() -> None:
    areas = [area(scene(Car(LANE_M, s_m, (180, 30, 30))), Label.CAR) for s_m in (8.0, 16.0, 32.0)]
    assert areas[0] > 2.5 * areas[1] > 5 * areas[2] > 0


def test_the_nearer_thing_hides_the_farther() -> None:
    van = Car(LANE_M, 6.0, (180, 30, 30), van=True)
    behind = replace(SOMEBODY, s_m=14.0)
    assert area(scene(van, behind), Label.PERSON) == 0
    assert area(scene(behind), Label.PERSON) > 0


def test_night_is_darker_than_dusk_and_dusk_than_day() -> None:
    day, dusk, night = (draw_scene(scene(time=time)).image.mean() for time in TimeOfDay)
    assert day > 1.3 * dusk > 2 * night


def test_classes_are_named_in_the_order_of_their_values() -> None:
    assert [CLASSES[label] for label in Label] == [label.name.lower() for label in Label]
