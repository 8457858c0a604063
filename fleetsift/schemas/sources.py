"""Sources of references beside plain Kafka: manifests, and messages that are not JSON."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ManifestSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """References that lie in files: scored to their end, as a topic would be; each part of them is a partition."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="A manifest (.jsonl, .csv, .parquet), or a folder, prefix (s3://, gs://, az://) or glob of "
            "images and videos.",
        ),
    ]
    name: (
        Annotated[str, Meta(pattern="^[a-zA-Z0-9._-]{1,249}$", description="The topic of its rows; default: its name.")]
        | None
    ) = None
    rows_per_part: Annotated[
        int, Meta(ge=1, description="Rows of a part; workers score parts side by side, and publish each on its own.")
    ] = 10_000
    every_s: Annotated[float, Meta(gt=0, description="Seconds between frames of a video; default 1.")] | None = None
    fps: Annotated[float, Meta(gt=0, description="Frames a second of a video, instead of every_s.")] | None = None

    def __post_init__(self) -> None:
        if self.every_s is not None and self.fps is not None:
            raise ValueError("Expected one of every_s and fps, got both")

    @property
    def step_s(self) -> float:
        """Seconds between frames of a video."""
        return 1 / self.fps if self.fps else self.every_s or 1.0
