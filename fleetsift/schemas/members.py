"""One network of an ensemble, as the ensemble file says it: what it takes, what it answers with, what that means."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetsift.schemas.scores import Task, has_independent_classes

Activation = Literal["softmax", "sigmoid", "probabilities"]
Positive = Annotated[int, Meta(ge=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


def activations_of(task: Task) -> tuple[Activation, Activation]:
    """What a task allows for members, its default first."""
    return ("sigmoid" if has_independent_classes(task) else "softmax"), "probabilities"


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network takes: (pixel / scale - mean) / std, float32, planes of height x width."""

    height: Positive
    width: Positive
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: Annotated[float, Meta(gt=0, description="Pixels are divided by this first.")] = 255.0
    mean: Annotated[Triple, Meta(description="In the order of `channels`.")] = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)


class ChannelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a detector's tensor (N, channels, h, w) its answers are; counted from 0, the classes come last."""

    boxes: Annotated[int, Meta(ge=0, description="The first of a box's four terms: x, y, width, height.")] | None = None

    classes: Annotated[int, Meta(ge=0, description="The first of the C class channels.")] = 0
    objectness: (
        Annotated[int, Meta(ge=0, description="P(class) is what this channel says times what the class's says.")] | None
    ) = None

    def __post_init__(self) -> None:
        ends = {"objectness": (self.objectness, 1), "boxes": (self.boxes, 4)}
        for name, (first, length) in ends.items():
            if first is not None and first + length > self.classes:
                raise ValueError(f"{name}: expected channels before the classes' first, {self.classes}, got {first}")


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network answers with: its tensors' names, and what the numbers of the first two are."""

    full: Annotated[
        str, Meta(description="Class scores (N, C, H, W) at the input's size; (N, C) in classification.")
    ] = "logits"
    native: Annotated[str, Meta(description="Class scores (N, C, h, w) at the network's own stride.")] | None = None
    embedding: Annotated[str, Meta(description="A vector (N, D) a frame, for diversity.")] | None = None
    activation: (
        Annotated[
            Activation,
            Meta(
                description="What still makes probabilities of the class scores; `probabilities`: nothing, they are. "
                "Default: softmax, for detection_heatmap sigmoid."
            ),
        ]
        | UnsetType
    ) = UNSET
    channels: Annotated[ChannelSpec, Meta(description="Where the tensor holds more than classes.")] | UnsetType = UNSET


class MemberSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network of the ensemble; what it leaves out is the ensemble's."""

    file: Annotated[str, Meta(description="ONNX file, relative to the ensemble file.")]
    sha256: Annotated[Sha256, Meta(description="Of the file; it is checked before the network is loaded.")]
    input: InputSpec | None = None
    output: OutputSpec | None = None
    classes: (
        Annotated[
            tuple[str, ...], Meta(description="What its channels mean, where they are not the ensemble's classes.")
        ]
        | UnsetType
    ) = UNSET
    counts_as: (
        Annotated[
            dict[str, str | None],
            Meta(description="The ensemble's class that a class of its own counts for, by name; null: for none."),
        ]
        | UnsetType
    ) = UNSET
    passes: (
        Annotated[
            int,
            Meta(
                ge=2, description="Keep its dropout, and run it so often with masks of their own: passes are members."
            ),
        ]
        | UnsetType
    ) = UNSET

    def counts_for(self, name: str) -> str | None:
        """The ensemble's class that a class of this member's counts for; None where it counts for none."""
        return name if self.counts_as is UNSET else self.counts_as.get(name, name)
