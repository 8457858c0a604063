"""Sources of references beside plain Kafka: manifests, and messages that are not JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class AvroSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages are one Avro record each."""

    schema: Annotated[str, Meta(min_length=1, description="The schema they are written with, a JSON file (.avsc).")]


class ProtobufSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages are one Protobuf message each."""

    descriptor: Annotated[
        str, Meta(min_length=1, description="What `protoc --include_imports --descriptor_set_out` writes.")
    ]
    message: Annotated[str, Meta(min_length=1, description="The message's full name, such as fleet.v1.Frame.")]


class DecoderSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages are written that are not JSON; their fields are found by name."""

    avro: AvroSpec | None = None
    protobuf: ProtobufSpec | None = None
    registry_header: Annotated[
        bool, Meta(description="Each message begins with what a schema registry's clients write before it; not read.")
    ] = False

    def __post_init__(self) -> None:
        if (self.avro is None) == (self.protobuf is None):
            raise ValueError(f"Expected one of avro and protobuf, got {'neither' if self.avro is None else 'both'}")


def resolve_decoder(spec: Literal["json"] | DecoderSpec, folder: Path) -> Literal["json"] | DecoderSpec:
    """Make the file that says what messages look like absolute: it is meant from the folder."""
    if isinstance(spec, str):
        return spec
    avro, protobuf = spec.avro, spec.protobuf
    if avro is not None:
        avro = msgspec.structs.replace(avro, schema=str(folder / avro.schema))
    if protobuf is not None:
        protobuf = msgspec.structs.replace(protobuf, descriptor=str(folder / protobuf.descriptor))
    return msgspec.structs.replace(spec, avro=avro, protobuf=protobuf)


class ManifestSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """References that lie in files: scored to their end, as a topic would be; each part of them is a partition."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="A manifest (.jsonl, .csv, .parquet) or a glob of them, or a folder, prefix (s3://, gs://, "
            "az://) or glob of images and videos.",
        ),
    ]
    name: (
        Annotated[str, Meta(pattern="^[a-zA-Z0-9._-]{1,249}$", description="The topic of its rows; default: its name.")]
        | None
    ) = None
    rows_per_part: Annotated[
        int, Meta(ge=1, description="Rows of a part; workers score parts side by side, and publish each on its own.")
    ] = 10_000
    outage_s: Annotated[
        float, Meta(ge=0, description="An object store that answers nobody is waited for so long; then the run stops.")
    ] = 600.0
    every_s: Annotated[float, Meta(gt=0, description="Seconds between frames of a video; default 1.")] | None = None
    fps: Annotated[float, Meta(gt=0, description="Frames a second of a video, instead of every_s.")] | None = None

    def __post_init__(self) -> None:
        if self.every_s is not None and self.fps is not None:
            raise ValueError("Expected one of every_s and fps, got both")

    @property
    def step_s(self) -> float:
        """Seconds between frames of a video."""
        return 1 / self.fps if self.fps else self.every_s or 1.0
