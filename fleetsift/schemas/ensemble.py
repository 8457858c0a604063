"""The ensemble file (YAML): which networks answer together, what they take and give, and what is kept of it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network takes: (pixel / scale - mean) / std, float32, planes of height x width."""

    height: Positive
    width: Positive
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: Annotated[float, Meta(gt=0, description="Pixels are divided by this first.")] = 255.0
    mean: Annotated[Triple, Meta(description="In the order of `channels`.")] = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of the tensors a network answers with."""

    full: Annotated[str, Meta(description="Logits (N, C, H, W) at the input's size.")] = "logits"
    native: Annotated[str, Meta(description="Logits (N, C, h, w) at the network's own stride.")] | None = None
    embedding: Annotated[str, Meta(description="A vector (N, D) a frame, for diversity.")] | None = None


class MemberSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network of the ensemble; what it leaves out is the ensemble's."""

    file: Annotated[str, Meta(description="ONNX file, relative to the ensemble file.")]
    sha256: Annotated[Sha256, Meta(description="Of the file; it is checked before the network is loaded.")]
    input: InputSpec | None = None
    output: OutputSpec | None = None


class RegionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coarse grid of cell means; the area-weighted mean of the cells is the frame's mean."""

    rows: Positive = 3
    columns: Positive = 4


class EnsembleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An ensemble of networks that answer the same question about a frame."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
    task: Literal["semantic_segmentation"] = "semantic_segmentation"
    classes: Annotated[tuple[str, ...], Meta(min_length=2)]
    members: Annotated[tuple[MemberSpec, ...], Meta(min_length=1)]
    input: InputSpec
    output: OutputSpec = OutputSpec()
    resolution: Annotated[
        Literal["native", "full"], Meta(description="Score at the networks' own stride, or at their input's size.")
    ] = "full"
    regions: RegionSpec = RegionSpec()
    embedding_member: Annotated[int, Meta(ge=0, description="Whose embedding is kept; spaces do not mix.")] = 0
    top_share: Annotated[float, Meta(gt=0, le=1, description="`top` is the mean over this share of positions.")] = 0.01

    def input_of(self, member: MemberSpec) -> InputSpec:
        """What this member takes."""
        return member.input or self.input

    def output_of(self, member: MemberSpec) -> OutputSpec:
        """What this member answers with."""
        return member.output or self.output

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) that frames are decoded to: the largest any member takes."""
        inputs = [self.input_of(member) for member in self.members]
        return max(i.height for i in inputs), max(i.width for i in inputs)

    @property
    def ensemble_id(self) -> str:
        """The name and a hash of everything that changes a number; where the files lie does not."""
        members = [(m.sha256, self.input_of(m), self.output_of(m)) for m in self.members]
        facts = (self.task, self.classes, members, self.resolution, self.regions, self.embedding_member, self.top_share)
        return f"{self.name}-{hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:12]}"
