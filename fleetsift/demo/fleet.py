"""A small simulated fleet: vehicles in cities, drives of consecutive frames, and what each frame is announced with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import cos, radians, sin
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fleetsift.demo.drives import Drive, plan_drive
from fleetsift.demo.scenes import draw_scene
from fleetsift.demo.streets import CITIES, City
from fleetsift.demo.world import Event, Theme, TimeOfDay, Weather
from fleetsift.schemas.messages import FrameMessage, encode_message

FRAMES_PER_S = 2.0
JPEG_QUALITY = 90
METRES_PER_DEGREE = 111_320.0  # of latitude
FIRST_DAY = datetime(2026, 3, 9, tzinfo=UTC)
HOURS = {TimeOfDay.DAY: (9.0, 15.5), TimeOfDay.DUSK: (17.7, 18.3), TimeOfDay.NIGHT: (20.0, 23.5)}  # UTC, in March


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One car of the fleet, at home in one city; no two cameras see colours alike."""

    name: str
    city: City
    tint: tuple[float, float, float]


VEHICLES = (
    Vehicle("fs-01", CITIES[0], (1.00, 1.00, 1.00)),
    Vehicle("fs-02", CITIES[1], (1.03, 1.00, 0.95)),
    Vehicle("fs-03", CITIES[2], (0.96, 1.00, 1.04)),
    Vehicle("fs-04", CITIES[3], (0.97, 0.98, 0.97)),
    Vehicle("fs-05", CITIES[0], (1.05, 1.02, 0.98)),
)

_DAY, _DUSK, _NIGHT = TimeOfDay.DAY, TimeOfDay.DUSK, TimeOfDay.NIGHT
_CLEAR, _OVERCAST, _RAIN = Weather.CLEAR, Weather.OVERCAST, Weather.RAIN

# The drives of a fleet, in turn: mostly plain days, as on real roads, and a few that are worth labelling.
THEMES = (
    Theme(_DAY, _CLEAR),
    Theme(_DAY, _CLEAR, Event.RED_LIGHT),
    Theme(_NIGHT, _CLEAR),
    Theme(_DAY, _OVERCAST),
    Theme(_DAY, _CLEAR, Event.BICYCLES),
    Theme(_DUSK, _CLEAR),
    Theme(_DAY, _CLEAR),
    Theme(_DAY, _RAIN),
    Theme(_DAY, _OVERCAST, Event.CROWD),
    Theme(_DAY, _OVERCAST),
    Theme(_DAY, _CLEAR),
    Theme(_NIGHT, _RAIN),
    Theme(_DAY, _OVERCAST, Event.RED_LIGHT),
    Theme(_DUSK, _OVERCAST, Event.RED_LIGHT),
)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFrame:
    """One frame as a vehicle would send it, with its pixels and its truth."""

    message: FrameMessage  # its uri is relative: SESSION/000123.jpg
    image: NDArray[np.uint8]  # (height, width, 3) RGB
    labels: NDArray[np.uint8]  # (height, width), values of world.Label
    theme: Theme  # what a real fleet would not know


def simulate_fleet(seed: int, sessions: int = 14, frames_per_session: int = 40) -> Iterator[SimulatedFrame]:
    """Draw the frames of some drives, two a second, session by session; the same seed gives the same bytes."""
    for session in range(sessions):
        rng = np.random.default_rng([seed, session])
        theme, vehicle = THEMES[session % len(THEMES)], VEHICLES[session % len(VEHICLES)]
        drive = plan_drive(theme, vehicle.city, frames_per_session / FRAMES_PER_S, vehicle.tint, rng)
        day = FIRST_DAY + timedelta(days=session // len(VEHICLES))
        began_at = day + timedelta(seconds=round(3600 * rng.uniform(*HOURS[theme.time_of_day])))
        for index, message in enumerate(_announce(drive, vehicle, began_at, frames_per_session, rng)):
            picture = draw_scene(drive.scene(index / FRAMES_PER_S))
            yield SimulatedFrame(message, picture.image, picture.labels, theme)


def write_fleet(
    folder: Path,
    seed: int = 1,
    sessions: int = 14,
    frames_per_session: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> list[FrameMessage]:
    """Write a simulated fleet: frames/SESSION/000123.jpg, labels/SESSION/000123.png and frames.jsonl.

    Labels are 8-bit PNGs whose values are classes; `frames.jsonl` has one message a line, its uri the absolute path
    of the frame. `progress` is told the number of frames written so far and in all.
    """
    messages, total = [], sessions * frames_per_session
    for frame in simulate_fleet(seed, sessions, frames_per_session):
        picture_file = (folder / "frames" / frame.message.uri).resolve()
        label_file = (folder / "labels" / frame.message.uri).with_suffix(".png")
        for file in (picture_file, label_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame.image).save(picture_file, quality=JPEG_QUALITY)
        Image.fromarray(frame.labels).save(label_file, compress_level=1)
        messages.append(msgspec.structs.replace(frame.message, uri=str(picture_file)))
        if progress is not None:
            progress(len(messages), total)
    (folder / "frames.jsonl").write_bytes(b"".join(encode_message(message) + b"\n" for message in messages))
    return messages


def _announce(
    drive: Drive, vehicle: Vehicle, began_at: datetime, frames: int, rng: np.random.Generator
) -> Iterator[FrameMessage]:
    """The messages of one drive; position is integrated from the way between frames and the heading there."""
    session_id = f"{vehicle.name}-{began_at:%m%d-%H%M}"
    north_m, east_m = rng.uniform(-2500, 2500, 2).tolist()
    way_m = drive.course.way_at(0)
    for index in range(frames):
        time_s = index / FRAMES_PER_S
        heading_deg = drive.course.heading_at(time_s)
        step_m = drive.course.way_at(time_s) - way_m
        way_m += step_m
        north_m += step_m * cos(radians(heading_deg))
        east_m += step_m * sin(radians(heading_deg))
        latitude = vehicle.city.latitude + north_m / METRES_PER_DEGREE
        longitude = vehicle.city.longitude + east_m / (METRES_PER_DEGREE * cos(radians(vehicle.city.latitude)))
        yield FrameMessage(
            frame_id=f"{session_id}-{index:06d}",
            session_id=session_id,
            uri=f"{session_id}/{index:06d}.jpg",
            captured_at=began_at + timedelta(seconds=time_s),
            vehicle_id=vehicle.name,
            camera="front",
            metadata={
                "city": vehicle.city.name,
                "time_of_day": str(drive.theme.time_of_day),
                "weather": str(drive.theme.weather),
                "speed_mps": round(drive.course.speed_at(time_s), 2),
                "heading_deg": round(heading_deg, 1),
                "latitude": round(latitude, 6),
                "longitude": round(longitude, 6),
            },
        )
