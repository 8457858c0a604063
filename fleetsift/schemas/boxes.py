"""The boxes of an ensemble file: whose they are, and how its tensor says them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class BoxSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How objects are found in the tensor of one detector, for the scores that count boxes."""

    member: Annotated[int, Meta(ge=0, description="Whose boxes are counted; its answers are the largest.")] = 0
    decoding: Annotated[
        Literal["fastestdet", "yolov3"],
        Meta(
            description="fastestdet: centre = cell + tanh, size = sigmoid, of the frame. "
            "yolov3: centre = cell + sigmoid, size = anchor * exp."
        ),
    ]
    anchor: Annotated[
        tuple[float, float], Meta(description="Width and height in pixels of the input, for yolov3; one a cell.")
    ] = (0.0, 0.0)
    threshold: Annotated[float, Meta(ge=0, lt=1, description="Boxes with a higher P of their class count.")] = 0.25
    overlap: Annotated[
        float, Meta(ge=0, le=1, description="A box gives way to a surer one of its class that it overlaps by more.")
    ] = 0.45
