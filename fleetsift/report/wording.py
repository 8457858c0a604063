"""How names and numbers are written for people."""

from __future__ import annotations

import math
import re
from datetime import datetime

_NAMES = {
    "mutual_information.mean": "Mutual information",
    "mutual_information.top": "Mutual information where it is highest",
    "entropy.mean": "Entropy",
    "entropy.top": "Entropy where it is highest",
    "objects.count": "Objects",
    "session_id": "Session",
    "vehicle_id": "Vehicle",
    "camera": "Camera",
    "frame.frame_id": "Frame",
}
_GROUPS = {"session_id": "sessions", "vehicle_id": "vehicles", "camera": "cameras", "frame.frame_id": "frames"}


def name(expression: str) -> str:
    """An SQL expression as a title; one that is no column stays as it is."""
    if expression in _NAMES:
        return _NAMES[expression]
    key = expression.removeprefix("metadata.")
    if key == expression:
        return expression
    plain = key[1:-1].replace('""', '"') if key.startswith('"') else key.replace("_", " ")
    return plain[:1].upper() + plain[1:]


def unit(expression: str) -> str:
    """What a score is in; nothing where it has none, or SQL made it of others."""
    in_nats = re.fullmatch(r"(expected_)?entropy\.\w+|mutual_information\.(\w+|by_class\.\w+)", expression)
    return "nats" if in_nats else ""


def group(key: str, count: int) -> str:
    """So many values of a key: `3 sessions`, `1 value`."""
    plural = _GROUPS.get(key, "values")
    return f"{count:,} {plural if count != 1 else plural[:-1]}"


def number(value: float) -> str:
    """Three figures, thousands apart."""
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share in percent, with a decimal where it is small."""
    if 0 < share < 0.001:
        return "<0.1 %"
    hundredth = share * 100
    return f"{hundredth:.1f} %".replace(".0 ", " ") if hundredth < 10 else f"{hundredth:.0f} %"


def portion(share: float) -> str:
    """What a frame is ahead of, never more than is true: `97 % of the pool`."""
    return "all others" if share == 1 else f"{math.floor(share * 100)} % of the pool"


def times(ratio: float) -> str:
    """A ratio: `2.4 ×`."""
    return f"{ratio:.1f}\u2009×" if ratio < 100 else f"{ratio:,.0f}\u2009×"


def day(moment: datetime) -> str:
    """A date: `3 May 2026`."""
    return f"{moment.day} {moment:%B %Y}"


def period(first: datetime, last: datetime) -> str:
    """From one day to another, saying what they share once."""
    if first.date() == last.date():
        return f"on {day(first)}"
    if (first.year, first.month) == (last.year, last.month):
        return f"from {first.day} to {day(last)}"
    return f"from {day(first)} to {day(last)}"


def moment(value: datetime) -> str:
    """A date and time of day: `3 May 2026, 14:02:11 UTC`."""
    return f"{day(value)}, {value:%H:%M:%S} UTC"
