"""What became of a frame: `ok`, or the kind of problem that kept it from being scored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The `status` column of a row."""

    OK = "ok"
    BAD_MESSAGE = "bad_message"  # the record is no JSON object, or lacks what a reference needs
    DENIED = "denied"  # the URI lies outside the configured roots, or the object store forbids it
    MISSING = "missing"  # nothing at the URI, or not readable
    UNREACHABLE = "unreachable"  # the object store gave no answer, or errors alone, for as long as it was asked
    TOO_LARGE = "too_large"  # over the byte cap before opening, or the pixel cap before decoding
    CORRUPT = "corrupt"  # the bytes are no complete image of an allowed format
    NON_FINITE = "non_finite"  # a network answered NaN or infinity for this frame
    CRASH = "crash"  # workers died on it, again and again: whatever kills them, they do not touch it any more


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one frame has no scores."""

    status: Status
    reason: str

    def __post_init__(self) -> None:
        if self.status is Status.OK:
            raise ValueError("Problem.status: expected a failure, got ok; use None where there is no problem")
