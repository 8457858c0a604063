"""The ensemble file (YAML): which networks answer together, what they take and give, and what is kept of it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetsift.schemas import coherence
from fleetsift.schemas.boxes import BoxSpec
from fleetsift.schemas.members import (
    Activation,
    ChannelSpec,
    InputSpec,
    MemberSpec,
    OutputSpec,
    Positive,
    activations_of,
)
from fleetsift.schemas.scores import Task, has_independent_classes

__all__ = [
    "Answer",
    "EnsembleSpec",
    "InputSpec",
    "MemberSpec",
    "OutputSpec",
    "RegionSpec",
    "Resolution",
    "View",
]

View = Literal["identity", "hflip"]
Resolution = Literal["native", "full"]


class Answer(NamedTuple):
    """One prediction about a frame: each counts as a member of the ensemble."""

    member: int  # whose
    dropout_pass: int  # which one of the member's passes; 0 where it has no dropout
    view: View  # of the frame or of its mirror image, un-flipped

    @property
    def is_plain(self) -> bool:
        """Whether it is the first that the network says of the frame as it is: its embedding and boxes are kept."""
        return self.view == "identity" and self.dropout_pass == 0


class RegionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coarse grid of cell means; the area-weighted mean of the cells is the frame's mean.

    In classification a frame is one position, and there is no grid.
    """

    rows: Positive = 3
    columns: Positive = 4


class EnsembleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An ensemble of networks that answer the same question about a frame."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
    task: Annotated[
        Task, Meta(description="One class a pixel, one class a frame, or each class of each cell: yes or no.")
    ] = "semantic_segmentation"
    classes: Annotated[tuple[str, ...], Meta(min_length=2)]
    members: Annotated[tuple[MemberSpec, ...], Meta(min_length=1)]
    input: InputSpec
    output: OutputSpec = OutputSpec()
    resolution: Annotated[
        Resolution, Meta(description="Score at the networks' own stride, or at their input's size.")
    ] = "full"
    regions: RegionSpec = RegionSpec()
    views: (
        Annotated[
            tuple[View, ...],
            Meta(description="How each member sees a frame; identity, or identity and hflip. Views are members too."),
        ]
        | UnsetType
    ) = UNSET
    seed: Annotated[int, Meta(ge=0, description="Dropout masks are drawn from it; 0 by default.")] | UnsetType = UNSET
    boxes: Annotated[BoxSpec, Meta(description="Score the objects that a detector finds.")] | UnsetType = UNSET
    embedding_member: Annotated[int, Meta(ge=0, description="Whose embedding is kept; spaces do not mix.")] = 0
    top_share: Annotated[float, Meta(gt=0, le=1, description="`top` is the mean over this share of positions.")] = 0.01

    def __post_init__(self) -> None:
        for m, member in enumerate(self.members):
            coherence.check_output(m, self.output_of(member), self.task)
            coherence.check_classes(m, member, self.classes)
        if self.views is not UNSET:
            coherence.check_views(self.views)
        if self.boxes is not UNSET:
            coherence.check_boxes(self.boxes, self.task, [self.channels_of(member) for member in self.members])

    def input_of(self, member: MemberSpec) -> InputSpec:
        """What this member takes."""
        return member.input or self.input

    def output_of(self, member: MemberSpec) -> OutputSpec:
        """What this member answers with."""
        return member.output or self.output

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every prediction about a frame, in order: the views of a member, or of one pass of it, follow each other."""
        views: tuple[View, ...] = ("identity",) if self.views is UNSET else self.views
        return tuple(
            Answer(m, dropout_pass, view)
            for m, member in enumerate(self.members)
            for dropout_pass in range(1 if member.passes is UNSET else member.passes)
            for view in views
        )

    @property
    def compares_views(self) -> bool:
        """Whether a frame's row says how consistent the views are: of softmaxes only."""
        return self.answers[-1].view == "hflip" and not has_independent_classes(self.task)

    def activation_of(self, member: MemberSpec) -> Activation:
        """What still makes probabilities of this member's class scores."""
        activation = self.output_of(member).activation
        return activations_of(self.task)[0] if activation is UNSET else activation

    def channels_of(self, member: MemberSpec) -> ChannelSpec:
        """Where in this member's tensor its answers are."""
        channels = self.output_of(member).channels
        return ChannelSpec() if channels is UNSET else channels

    def box_channel(self, m: int) -> int | None:
        """The first of the four channels of box terms in member m's tensor, where its boxes are counted."""
        if self.boxes is UNSET or m != self.boxes.member:
            return None
        return self.channels_of(self.members[m]).boxes

    def classes_of(self, member: MemberSpec) -> tuple[str, ...]:
        """What this member's channels mean, in order."""
        return self.classes if member.classes is UNSET else member.classes

    def channels_by_class(self, member: MemberSpec) -> tuple[tuple[int, ...], ...]:
        """For each class of the ensemble, which of this member's classes count for it.

        A class of the member is the ensemble's of the same name, unless `counts_as` says otherwise. Where several
        count for one, their probabilities are added; the highest one counts where classes are independent. What
        counts for none is left out, as if it could not be the answer.
        """
        own = [member.counts_for(name) for name in self.classes_of(member)]
        return tuple(tuple(k for k, name in enumerate(own) if name == wanted) for wanted in self.classes)

    @property
    def grid(self) -> RegionSpec | None:
        """The regions of a frame, where it has positions."""
        return None if self.task == "classification" else self.regions

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) that frames are decoded to: the largest any member takes."""
        inputs = [self.input_of(member) for member in self.members]
        return max(i.height for i in inputs), max(i.width for i in inputs)

    @property
    def ensemble_id(self) -> str:
        """The name and a hash of everything that changes a number; where the files lie does not."""
        members = [
            (m.sha256, self.input_of(m), self.output_of(m), *_given(m.classes, m.counts_as, m.passes))
            for m in self.members
        ]
        facts: list[object] = [
            self.task,
            self.classes,
            members,
            self.resolution,
            self.regions,
            self.embedding_member,
            self.top_share,
        ]
        facts += _given(self.boxes, self.views, self.seed)
        return f"{self.name}-{hashlib.sha256(msgspec.json.encode(facts, order='deterministic')).hexdigest()[:12]}"


def _given(*fields: object) -> list[object]:
    """Nothing where no field is set: what uses none of them keeps the id it had before there were any."""
    return [[None if field is UNSET else field for field in fields]] if any(f is not UNSET for f in fields) else []
