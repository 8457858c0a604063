"""What every batch has to keep to, whatever its frames are worth."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import Meta


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="cap"):
    """At most so many picks that share a value of a key (session_id, vehicle_id, metadata.city, any expression).

    A frame whose key is NULL shares it with no other frame: it is not capped.
    """

    key: str = "session_id"
    most: Annotated[int, Meta(ge=1)] = 10

    @property
    def name(self) -> str:
        """How the cap is called where it is reported."""
        return f"cap {self.key}"


class Gap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="gap"):
    """At least so many seconds, by captured_at, between any two picks that share a value of a key.

    A gap that cannot be measured is not kept: a frame without captured_at is no candidate, and is counted as left out.
    A frame whose key is NULL shares it with no other frame. For frames of several cameras of one drive, the key may be
    `concat(session_id, camera)`.
    """

    key: str = "session_id"
    least_s: Annotated[float, Meta(gt=0, le=1e9, description="Seconds, counted to the microsecond.")] = 1.0

    @property
    def name(self) -> str:
        """How the gap is called where it is reported."""
        return f"gap {self.key}"


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="quota"):
    """At least so many picks with one value of a key, as text; a quota that does not hold is named with what it lacks.

    Quotas come first: while one is owed and a feasible frame pays it, only frames that pay the most quotas are picked.
    """

    key: str
    value: str
    least: Annotated[int, Meta(ge=1)]

    @property
    def name(self) -> str:
        """How the quota is called where it is reported."""
        return f"quota {self.key} = {self.value}"


class Threshold(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="threshold"
):
    """Only frames whose value of an SQL expression is at least, at most, or between; both bounds are admitted."""

    expression: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        least, most = (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)
        if not least <= most or (least, most) == (-math.inf, math.inf):
            raise ValueError(f"threshold: expected least, most or both in order, got {self.least} and {self.most}")

    @property
    def name(self) -> str:
        """How the threshold is called where it is reported."""
        return f"threshold {self.expression}"


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="guard"):
    """Only frames at least so far, in the embedding, from every frame of a test set, so that none of it leaks.

    Every given frame has to be in the store with an embedding: a guard with a hole in it would be none.
    """

    frames: Annotated[tuple[str, ...], Meta(description="Files that name them, as for labelled frames.")] = ()
    sessions: Annotated[tuple[str, ...], Meta(description="Sessions all of whose frames are meant.")] = ()
    least: Annotated[float, Meta(gt=0, description="Euclidean distance.")]
    called: Annotated[str, Meta(description="Tells one guard from another in reports.")] = ""

    @property
    def name(self) -> str:
        """How the guard is called where it is reported."""
        return f"guard {self.called}".rstrip()


Constraint = Cap | Gap | Quota | Threshold | Guard
