"""The hot path in one process: every record is one row, whatever is wrong with it, and a second run adds nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event

import msgspec
import numpy as np
from PIL import Image

from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.engines.open import open_engine
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.select import select_batch
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.engines.drawn_networks import Drawn, write_ensemble
from tests.oracle import Acknowledged, check_store, produce
from tests.streaming.conftest import fill, record, run_once

MIXED = [
    ("f0", record("f0")),
    ("f1", record("f1", uri="none.jpg")),
    (None, b"this is no JSON"),
    ("f3", record("f3", uri="torn.jpg")),
    ("f4", record("f4", uri="../good.jpg")),
    ("f5", record("f5", metadata={"city": "Lisbon", "gear": 3}, rain=True)),
    (None, b""),
    ("f0", record("f0")),
]


def test_every_record_is_one_row_with_its_status(new_fleet: Callable[..., FleetSpec]) -> None:
    spec = msgspec.structs.replace(new_fleet(), metadata={"city": "string"})
    create_topic(spec.kafka)
    acknowledged = produce(
        spec.kafka.brokers[0], spec.kafka.topic, [(name, value, i % 3) for i, (name, value) in enumerate(MIXED * 5)]
    )
    meter = run_once(spec)
    statuses = check_store(Path(spec.store.path), acknowledged)
    assert statuses == {"ok": 15, "missing": 5, "bad_message": 10, "corrupt": 5, "denied": 5} == meter.rows
    assert meter.lag(3) == 0
    with ScoreStore(spec.store.path) as store:
        assert store.sql("SELECT count(*) FROM frames").fetchall() == [(2,)]
        answer = store.sql("SELECT DISTINCT metadata.city, extra FROM frames WHERE frame_id = 'f5'").fetchall()
        assert answer == [("Lisbon", '{"gear":3,"rain":true}')]
    assert run_once(spec).rows == {}
    check_store(Path(spec.store.path), acknowledged)


def test_a_frame_that_breaks_a_network_is_a_row_and_never_picked(
    new_fleet: Callable[..., FleetSpec], frames_root: Path, tmp_path: Path
) -> None:
    """Row 29: a member answers a white frame with infinity; its neighbours in the batch are scored."""
    Image.new("RGB", (24, 16), "white").save(frames_root / "white.png")
    ensemble = write_ensemble(tmp_path, [Drawn(0), Drawn(1, breaks_on_white=True)])
    spec = new_fleet(partitions=1)
    create_topic(spec.kafka)
    uris = ["good.jpg", "white.png", "good.jpg", "good.jpg", "white.png"]
    records = [(f"f{i}", record(f"f{i}", uri=uri), 0) for i, uri in enumerate(uris)]
    acknowledged = produce(spec.kafka.brokers[0], spec.kafka.topic, records)
    meter = run_once(spec, partial(open_engine, ensemble, 1))
    assert check_store(Path(spec.store.path), acknowledged) == {"ok": 3, "non_finite": 2} == meter.rows
    with ScoreStore(spec.store.path) as store:
        [(reason,)] = store.sql("SELECT DISTINCT reason FROM rows WHERE status = 'non_finite'").fetchall()
        assert "expected finite logits, got NaN or infinity" in reason
        assert {pick.frame_id for pick in select_batch(store, SelectionSpec(budget=5)).picks} == {"f0", "f2", "f3"}


def test_later_records_join_the_chain(new_fleet: Callable[..., FleetSpec]) -> None:
    spec = new_fleet(partitions=1)
    create_topic(spec.kafka)
    acknowledged: Acknowledged = {}
    for begin in (0, 10, 20):
        records = [(f"f{n}", record(f"f{n}"), 0) for n in range(begin, begin + 10)]
        acknowledged |= produce(spec.kafka.brokers[0], spec.kafka.topic, records)
        assert run_once(spec).rows == {"ok": 10}
        check_store(Path(spec.store.path), acknowledged)


def test_a_model_slower_than_every_publish_falls_due(new_fleet: Callable[..., FleetSpec]) -> None:
    """Row 7: a batch takes longer than rows may wait; each is published when it can be, and the lag drains."""
    spec = new_fleet(partitions=2)
    spec = msgspec.structs.replace(spec, store=msgspec.structs.replace(spec.store, flush_s=0.1))
    acknowledged = fill(spec, range(24))
    row = constant_row()

    def score(_: np.ndarray) -> object:
        time.sleep(0.1)
        return row

    topic, meter = describe_topic(spec.kafka), Meter()
    engine = FunctionEngine(score)  # type: ignore[arg-type]
    score_partitions(Job(spec, topic, topic.partitions, True, 2, lambda: engine), Event(), meter)
    assert check_store(Path(spec.store.path), acknowledged) == meter.rows == {"ok": 24}
    assert meter.lag(2) == 0
