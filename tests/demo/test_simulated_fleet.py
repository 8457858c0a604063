"""A simulated fleet: the same for a seed, redundant within a session, complete and plausible in what it announces."""

from __future__ import annotations

from itertools import groupby, pairwise
from math import cos, hypot, radians
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fleetsift.demo.fleet import FRAMES_PER_S, METRES_PER_DEGREE, THEMES, SimulatedFrame, simulate_fleet, write_fleet
from fleetsift.demo.world import CLASSES, Event, TimeOfDay, Weather
from fleetsift.schemas.frames import Position
from fleetsift.schemas.messages import FrameMessage, encode_message, parse_message

SESSIONS, FRAMES = len(THEMES), 16


@pytest.fixture(scope="module")
def frames() -> list[SimulatedFrame]:
    return list(simulate_fleet(seed=5, sessions=SESSIONS, frames_per_session=FRAMES))


def by_session(frames: list[SimulatedFrame]) -> list[list[SimulatedFrame]]:
    return [list(run) for _, run in groupby(frames, key=lambda frame: frame.message.session_id)]


def thumbnail(frame: SimulatedFrame) -> NDArray[np.float32]:
    """Means over blocks of 16 x 16 pixels, (12, 20, 3)."""
    height, width, _ = frame.image.shape
    blocks = frame.image.reshape(height // 16, 16, width // 16, 16, 3)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def test_a_seed_fixes_every_bit() -> None:
    first, second = (list(simulate_fleet(seed=3, sessions=3, frames_per_session=3)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.message == other.message
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.labels, other.labels)


def test_another_seed_is_another_fleet() -> None:
    one, other = (next(simulate_fleet(seed, 1, 1)) for seed in (3, 4))
    assert not np.array_equal(one.labels, other.labels)


def test_labels_are_classes_and_every_class_occurs(frames: list[SimulatedFrame]) -> None:
    seen = np.unique(np.concatenate([np.unique(frame.labels) for frame in frames]))
    assert seen.tolist() == list(range(len(CLASSES)))


def test_frames_of_a_session_are_alike(frames: list[SimulatedFrame]) -> None:
    """Thumbnails of plain days: the frame half a second later is much nearer than another session's."""
    plain = [frame for frame in frames if frame.theme.time_of_day is TimeOfDay.DAY]
    sessions = [[thumbnail(frame) for frame in session] for session in by_session(plain)]
    within = [np.abs(a - b).mean() for session in sessions for a, b in pairwise(session)]
    between = [np.abs(a[5] - b[5]).mean() for a, b in pairwise(sessions)]
    assert 2 * np.median(within) < np.median(between)


def test_a_wait_at_a_red_light_is_almost_constant(frames: list[SimulatedFrame]) -> None:
    waits = [frame for frame in frames if frame.theme.event is Event.RED_LIGHT]
    standing = [
        np.mean(a.labels != b.labels)
        for session in by_session(waits)
        for a, b in pairwise(session)
        if a.message.metadata["speed_mps"] == b.message.metadata["speed_mps"] == 0
    ]
    assert len(standing) > 3
    assert np.median(standing) < 0.06


def test_names_are_unique_and_belong_together(frames: list[SimulatedFrame]) -> None:
    messages = [frame.message for frame in frames]
    assert len({message.frame_id for message in messages}) == SESSIONS * FRAMES
    assert len({message.session_id for message in messages}) == SESSIONS
    assert len({message.vehicle_id for message in messages}) == 5
    assert len({message.metadata["city"] for message in messages}) == 4
    assert all(message.uri.startswith(f"{message.session_id}/") for message in messages)


def test_metadata_is_complete(frames: list[SimulatedFrame]) -> None:
    for frame in frames:
        metadata = frame.message.metadata
        assert set(metadata) == {
            "city", "time_of_day", "weather", "speed_mps", "heading_deg", "latitude", "longitude"
        }  # fmt: skip
        assert metadata["time_of_day"] in set(TimeOfDay)
        assert metadata["weather"] in set(Weather)
        assert 0 <= metadata["speed_mps"] < 20
        assert 0 <= metadata["heading_deg"] <= 360
        assert frame.message.captured_at is not None


def test_night_is_at_night(frames: list[SimulatedFrame]) -> None:
    for frame in frames:
        captured_at = frame.message.captured_at
        assert captured_at is not None
        assert (captured_at.hour >= 20) == (frame.theme.time_of_day is TimeOfDay.NIGHT)


def test_positions_move_as_fast_as_the_vehicle(frames: list[SimulatedFrame]) -> None:
    for session in by_session(frames):
        for before, after in pairwise([frame.message for frame in session]):
            assert before.captured_at is not None
            assert after.captured_at is not None
            seconds = (after.captured_at - before.captured_at).total_seconds()
            assert seconds == 1 / FRAMES_PER_S
            a, b = before.metadata, after.metadata
            north_m = (b["latitude"] - a["latitude"]) * METRES_PER_DEGREE
            east_m = (b["longitude"] - a["longitude"]) * METRES_PER_DEGREE * cos(radians(a["latitude"]))
            expected_m = (a["speed_mps"] + b["speed_mps"]) / 2 * seconds
            assert hypot(north_m, east_m) == pytest.approx(expected_m, abs=0.5)


def test_what_is_written_is_what_was_simulated(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    messages = write_fleet(tmp_path, seed=5, sessions=2, frames_per_session=3, progress=lambda *now: told.append(now))
    assert told == [(done, 6) for done in range(1, 7)]
    lines = (tmp_path / "frames.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=FrameMessage) for line in lines] == messages
    for message, frame in zip(messages, simulate_fleet(5, 2, 3), strict=True):
        assert Path(message.uri) == tmp_path / "frames" / frame.message.uri
        with Image.open(message.uri) as picture:
            written = np.asarray(picture, dtype=int)
        assert np.abs(written - frame.image).mean() < 6
        with Image.open((tmp_path / "labels" / frame.message.uri).with_suffix(".png")) as labels:
            assert np.array_equal(np.asarray(labels), frame.labels)


def test_a_consumer_understands_the_messages(frames: list[SimulatedFrame]) -> None:
    message = frames[0].message
    ref = parse_message(encode_message(message), Position("frames", 0, 0))
    assert ref.problem is None
    assert (ref.frame_id, ref.captured_at, dict(ref.metadata)) == (
        message.frame_id,
        message.captured_at,
        message.metadata,
    )
