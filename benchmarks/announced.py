"""Frames and networks to stream: CamVid's where they are at hand, or the demo's; announced on a topic of their own."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from benchmarks.camvid import camvid_networks, write_camvid
from fleetsift import FleetSpec, FrameMessage, publish
from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.demo.fleet import write_fleet
from fleetsift.schemas.fleet import FramesSpec, KafkaSpec, StoreSpec, WorkersSpec

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BATCH = 8


@dataclass(frozen=True, slots=True)
class Material:
    """What is streamed: an ensemble, and references to frames below a root."""

    name: str
    ensemble: Path
    networks: tuple[Path, ...]
    root: Path
    frames: tuple[FrameMessage, ...]

    def references(self, count: int) -> Iterator[FrameMessage]:
        """So many references, from the beginning again where there are fewer frames; every one has its own id."""
        for i, frame in enumerate(islice(cycle(self.frames), count)):
            # Sixteen sessions, so that the partitions are alike.
            yield FrameMessage(frame_id=f"{i:07d}", session_id=f"s{i % 16}", uri=frame.uri, metadata=frame.metadata)

    def take(self, count: int) -> list[FrameMessage]:
        """The same as a list."""
        return list(self.references(count))

    def spread(self, count: int) -> Material:
        """At most so many of the frames, from all over: those that follow one another are of one kind."""
        return replace(self, frames=self.frames[:: -(-len(self.frames) // count)])

    def of_kind(self, suffix: str) -> Material:
        """The frames that are written in one format."""
        return replace(self, frames=tuple(frame for frame in self.frames if frame.uri.endswith(suffix)))


def camvid(folder: Path, resolution: str = "native") -> Material | None:
    """Five real networks and 468 real frames of 480 x 360; None where they are not at hand."""
    if not (SHARED / "camvid" / "index.csv").is_file():
        return None
    ensemble, networks = write_camvid(folder, SHARED, resolution), tuple(camvid_networks(SHARED))
    return Material("CamVid", ensemble, networks, SHARED / "camvid", tuple(_camvid_frames(SHARED / "camvid")))


def _camvid_frames(folder: Path) -> Iterator[FrameMessage]:
    with (folder / "index.csv").open(newline="") as index:
        for row in csv.DictReader(index):
            file = folder / row["file"]
            yield FrameMessage(
                frame_id=file.stem, session_id=row["sequence"], uri=str(file), metadata={"split": row["split"]}
            )


def demo(folder: Path) -> Material:
    """The demo's tiny networks and its drawn frames."""
    root = folder / "fleet"
    frames = tuple(write_fleet(root, sessions=5))
    ensemble = demo_ensemble()
    return Material("demo", ensemble, tuple(sorted(ensemble.parent.glob("*.onnx"))), root, frames)


def announce(
    material: Material, broker: str, folder: Path, messages: Iterable[FrameMessage], **store: float
) -> FleetSpec:
    """Publish references on a new topic; the configuration that streams it into a new store."""
    name = uuid.uuid4().hex
    spec = FleetSpec(
        kafka_section=KafkaSpec(brokers=(broker,), topic=name, partitions=4),
        frames=FramesSpec(roots=(str(material.root),)),
        ensemble=str(material.ensemble),
        store=StoreSpec(path=str(folder / name), **store),  # type: ignore[arg-type]
        workers=WorkersSpec(batch=BATCH),
    )
    publish(spec.kafka, messages)
    return spec
