"""Frames that are unsure because of what the sensor saw, not of what the networks know: rain on the lens, blur, glare.

Their expected entropy is high: every member is unsure by itself. Their mutual information is a small part of it: the
members agree that nothing can be told. Labels settle little there, so they are listed apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetsift.advice.sample import PoolRows

HIGH = 0.9  # quantile of expected entropy from which on it is high
LOW = 0.5  # quantile of mutual information / entropy up to which it is low
MOST_LISTED = 10_000

_BOUNDS = """
SELECT quantile_disc(expected_entropy.mean, $3), quantile_disc(mutual_information.mean / entropy.mean, $4)
FROM pool WHERE entropy.mean > 0 AND isfinite(expected_entropy.mean) AND isfinite(mutual_information.mean)
"""
_LISTED = """
SELECT frame_id, session_id, uri, expected_entropy.mean AS expected_entropy,
    mutual_information.mean AS mutual_information
FROM pool WHERE {condition}
ORDER BY expected_entropy.mean DESC, frame_id LIMIT {most}
"""
_COUNTED = "SELECT count(*) FROM pool WHERE {condition}"


@dataclass(frozen=True, slots=True)
class SensorFrame:
    """One frame that asks for a look at its sensor rather than for a label."""

    frame_id: str
    session_id: str
    uri: str
    expected_entropy: float  # nats
    mutual_information: float  # nats


@dataclass(frozen=True, slots=True)
class SensorList:
    """Frames of high expected entropy and low mutual information, the highest expected entropy first."""

    frames: tuple[SensorFrame, ...]  # at most MOST_LISTED
    count: int
    condition: str  # SQL that is true of them; `where: NOT (...)` leaves them out of a selection
    sessions: tuple[tuple[str, int], ...]  # of the listed frames, those with most of them


def list_sensor_frames(rows: PoolRows) -> SensorList:
    """Find the frames of a pool; none where one network scored it. Raises QueryError."""
    nobody = SensorList((), 0, "false", ())
    if rows.members() < 2:
        return nobody
    ((least, most),) = zip(*(column.to_pylist() for column in rows.ask(_BOUNDS, HIGH, LOW).columns), strict=True)
    if least is None or most is None:
        return nobody
    condition = f"expected_entropy.mean >= {least!r} AND mutual_information.mean <= {most!r} * entropy.mean"
    listed = rows.ask(_LISTED.format(condition=condition, most=MOST_LISTED)).to_pylist()
    (count,) = rows.ask(_COUNTED.format(condition=condition)).columns[0].to_pylist()
    frames = tuple(SensorFrame(**row) for row in listed)
    sessions: dict[str, int] = {}
    for frame in frames:
        sessions[frame.session_id] = sessions.get(frame.session_id, 0) + 1
    ordered = sorted(sessions.items(), key=lambda item: (-item[1], item[0]))
    return SensorList(frames, count, condition, tuple(ordered[:5]))
