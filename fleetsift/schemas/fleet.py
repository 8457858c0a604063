"""The one configuration file (fleet.yaml): source, frames, ensemble, store, workers, selection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleetsift.errors import ConfigError
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.schemas.sources import DecoderSpec, ManifestSpec, resolve_decoder

Positive = Annotated[int, Meta(ge=1)]
Broker = Annotated[str, Meta(pattern=r"^\S+:[0-9]{1,5}$")]
ImageFormat = Literal["jpeg", "png", "webp"]
ColumnType = Literal["string", "double", "bigint", "boolean"]


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the brokers know us and we know them; secrets never stand here."""

    protocol: Literal["SASL_SSL", "SSL", "SASL_PLAINTEXT"] = "SASL_SSL"
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    credentials_file: (
        Annotated[
            str,
            Meta(
                description="Two lines, username and password; without it they are read from the environment, "
                "FLEETSIFT_KAFKA_USERNAME and FLEETSIFT_KAFKA_PASSWORD."
            ),
        ]
        | None
    ) = None
    ca_file: Annotated[str, Meta(description="Certificates to trust, PEM; default: the system's.")] | None = None


class KafkaSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where references to frames come from."""

    brokers: Annotated[tuple[Broker, ...], Meta(min_length=1, description="host:port of one or more brokers.")]
    topic: Annotated[str, Meta(pattern="^[a-zA-Z0-9._-]{1,249}$")]
    partitions: Annotated[int, Meta(ge=1, description="How many `publish` creates a missing topic with.")] = 4
    security: KafkaSecurity | None = None
    group: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A consumer group whose offsets follow what is published, so that Kafka's own tools see "
                "the lag; nothing is ever read from it.",
            ),
        ]
        | None
    ) = None
    dead_letters: (
        Annotated[
            str,
            Meta(
                pattern="^[a-zA-Z0-9._-]{1,249}$",
                description="A topic that is told of every frame that could not be scored, after its row is published.",
            ),
        ]
        | None
    ) = None
    patience_s: Annotated[float, Meta(gt=0, description="How long a run waits for brokers that are away.")] = 600.0
    on_gap: Annotated[
        Literal["stop", "seal"],
        Meta(
            description="Where retention has removed what the store goes on from: give that partition up, or note the "
            "gap in its chain and go on after it."
        ),
    ] = "stop"
    decoder: Annotated[Literal["json"] | DecoderSpec, Meta(description="What messages are written in.")] = "json"


def resolve_kafka(spec: KafkaSpec | None, folder: Path) -> KafkaSpec | None:
    """Make the files that the section names absolute: they are meant from the folder."""
    if spec is None:
        return None
    spec = msgspec.structs.replace(spec, decoder=resolve_decoder(spec.decoder, folder))
    if spec.security is None:
        return spec
    named = {key: getattr(spec.security, key) for key in ("credentials_file", "ca_file")}
    files = {key: str(folder / file) for key, file in named.items() if file}
    return msgspec.structs.replace(spec, security=msgspec.structs.replace(spec.security, **files))


class FramesSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where pixels may be read, and how much of them."""

    roots: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Folders and prefixes (s3://, gs://, az://); a frame outside is never opened."),
    ]
    most_bytes: Annotated[int, Meta(ge=1, description="A larger file is refused before it is opened.")] = 50_000_000
    most_pixels: Annotated[int, Meta(ge=1, description="A larger image is refused before it is decoded.")] = 50_000_000
    most_video_bytes: Annotated[int, Meta(ge=1, description="A larger video is refused before it is opened.")] = 10**11
    formats: Annotated[
        tuple[ImageFormat, ...], Meta(min_length=1, description="Images of other formats are corrupt to us.")
    ] = ("jpeg", "png")
    in_flight: Annotated[int, Meta(ge=1, description="Requests to object stores at once, a worker.")] = 32
    timeout_s: Annotated[float, Meta(gt=0, description="A request to an object store is given up after so long.")] = (
        10.0
    )
    retries: Annotated[int, Meta(ge=0, description="How often a failed request is made again.")] = 3
    outage_s: Annotated[
        float, Meta(ge=0, description="An object store that answers nobody is waited for so long; then the run stops.")
    ] = 600.0


class StoreSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where rows go, and when a segment is published: on rows, bytes or age, whichever comes first."""

    path: Annotated[str, Meta(description="A folder, or a prefix of an object store: s3://, gs://, az://.")]
    flush_rows: Positive = 100_000
    flush_bytes: Annotated[int, Meta(ge=1, description="Of a partition's rows as they lie in memory.")] = 67_108_864
    flush_s: Annotated[float, Meta(gt=0)] = 60.0
    timeout_s: Annotated[float, Meta(gt=0, description="A request to an object store is given up after so long.")] = (
        30.0
    )
    outage_s: Annotated[
        float,
        Meta(
            ge=0,
            description="An object store that answers nobody is waited for so long, with what is scored; then the run "
            "stops.",
        ),
    ] = 600.0


class WorkersSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the work is spread: each worker is one Ray actor that owns some partitions."""

    count: Annotated[
        int, Meta(ge=1, description="Workers at most: as many as the cluster has room for, more when nodes join.")
    ] = 1
    batch: Annotated[int, Meta(ge=1, description="Frames scored at once.")] = 8
    cpus: Annotated[float, Meta(gt=0, description="CPUs that Ray reserves for each worker.")] = 1
    threads: (
        Annotated[int, Meta(ge=1, description="Threads a worker uses; default: its share of the machine, or `cpus`.")]
        | None
    ) = None
    gpus: Annotated[float, Meta(ge=0, description="GPUs, or a share of one, that Ray reserves for each.")] = 0
    runtime: Annotated[RuntimeSpec, Meta(description="What runs the networks.")] = RuntimeSpec()

    def __post_init__(self) -> None:
        if self.runtime.needs_gpu and not self.gpus:
            raise ValueError(f"gpus: expected a GPU or a share of one for runtime {self.runtime.name}, got 0")
        if self.gpus and not self.runtime.needs_gpu:
            raise ValueError(
                "gpus: expected 0 for runtime cpu, or runtime.name cuda, cuda_tensorrt or tensorrt, which use them, "
                f"got {self.gpus:g}"
            )


class OperationsSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How those who run a stream see what it does."""

    metrics_port: (
        Annotated[int, Meta(ge=0, le=65535, description="Where a run serves Prometheus metrics; 0: any free port.")]
        | None
    ) = None
    metrics_host: Annotated[str, Meta(description="0.0.0.0 where Prometheus runs on another machine.")] = "127.0.0.1"


class FleetSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a fleet's stream and selection need; paths are relative to the file."""

    kafka_section: KafkaSpec | None = msgspec.field(name="kafka", default=None)
    manifest: ManifestSpec | None = None
    frames: FramesSpec
    ensemble: Annotated[str, Meta(description="The ensemble file.")]
    store: StoreSpec
    metadata: Annotated[
        dict[str, ColumnType], Meta(description="Metadata keys that become typed columns, `metadata.KEY`.")
    ] = msgspec.field(default_factory=dict)
    workers: WorkersSpec = WorkersSpec()
    operations: OperationsSpec = OperationsSpec()
    selection: SelectionSpec = SelectionSpec()

    def __post_init__(self) -> None:
        if (self.kafka_section is None) == (self.manifest is None):
            got = "neither" if self.manifest is None else "both"
            raise ValueError(f"Expected one of the sections kafka and manifest, got {got}")

    @property
    def kafka(self) -> KafkaSpec:
        """The topic's section; raises ConfigError in a fleet that is read from a manifest."""
        if self.kafka_section is None:
            raise ConfigError("kafka: missing, this fleet is read from a manifest; add the section instead of manifest")
        return self.kafka_section
