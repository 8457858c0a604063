"""The whole hot path with nothing on a disk: frames from a real S3 server, rows back onto it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec

from fleetsift.engines.function import null_engine
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.fleet import FleetSpec, FramesSpec, StoreSpec
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import Acknowledged, check_store, produce
from tests.streaming.conftest import record


def test_frames_and_rows_lie_in_a_bucket(new_fleet: Callable[..., FleetSpec], bucket: str, frames_root: Path) -> None:
    frames = ObjectPrefix.open(f"{bucket}/frames", "tests", timeout_s=10, retries=1)
    for path in frames_root.iterdir():
        frames.overwrite(path.name, path.read_bytes())
    spec = msgspec.structs.replace(
        new_fleet(),
        frames=FramesSpec(roots=(frames.url,)),
        store=StoreSpec(path=f"{bucket}/scores", flush_rows=5, flush_s=0.5),
    )
    create_topic(spec.kafka)
    acknowledged: Acknowledged = {}
    for begin in (0, 12):
        uris = ["good.jpg", f"{frames.url}/good.jpg", "none.jpg", "torn.jpg", "../scores/x", "/etc/passwd"] * 2
        records = [(f"f{begin + n}", record(f"f{begin + n}", uri=uri), n % 3) for n, uri in enumerate(uris)]
        acknowledged |= produce(spec.kafka.brokers[0], spec.kafka.topic, records)
        topic, meter = describe_topic(spec.kafka), Meter()
        score_partitions(Job(spec, topic, topic.partitions, True, 2, null_engine), Event(), meter)
        assert meter.rows == {"ok": 4, "missing": 2, "corrupt": 2, "denied": 4}
    assert check_store(spec.store.path, acknowledged) == {"ok": 8, "missing": 4, "corrupt": 4, "denied": 8}
    with ScoreStore(spec.store.path) as store:
        assert store.sql("SELECT count(*) FROM frames").fetchall() == [(8,)]
