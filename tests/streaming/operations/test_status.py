"""How far a stream is, told from the store and the topic alone, before, during and after runs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import yaml
from rich.console import Console

from fleetsift.board import status_table
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.compaction import MergeSize, compact_store
from fleetsift.streaming.kafka.topic import create_topic
from fleetsift.streaming.operations.status import read_status
from tests.oracle import produce
from tests.streaming.conftest import fill, record, run_once
from tests.test_cli import fleetsift

NewFleet = Callable[..., FleetSpec]


def shown(spec: FleetSpec) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(status_table(read_status(spec)))
    return console.export_text()


def test_before_the_first_run_everything_is_lag(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=3)
    fill(spec, range(10))
    status = read_status(spec)
    assert [(p.chain_end, p.lag, p.published_at) for p in status.partitions] == [
        (0, 4, None),
        (0, 3, None),
        (0, 3, None),
    ]
    assert status.ensemble_id is None
    assert "nothing published yet" in shown(spec)


def test_chain_ends_lag_speed_and_errors_by_partition(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=2, flush_rows=3)
    fill(spec, range(20))
    broken = [("f90", record("f90", uri="none.jpg"), 1), (None, b"no JSON", 1)]
    produce(spec.kafka.brokers[0], spec.kafka.topic, broken)
    run_once(spec)
    fill(spec, range(100, 106))
    [first, second] = read_status(spec).partitions
    assert (first.chain_end, first.lag, first.rows, first.rowless_offsets) == (10, 3, {"ok": 10}, 0)
    assert (second.chain_end, second.lag) == (12, 3)
    assert second.rows == {"ok": 10, "missing": 1, "bad_message": 1}
    assert second.rows_per_s == 12 / read_status(spec).window_s
    assert second.published_at is not None
    assert second.published_at[:10] == datetime.now(UTC).date().isoformat()
    text = shown(spec)
    assert "bad_message 1, missing 1" in text
    assert "0 s ago" in text or " s ago" in text


def test_merging_and_pruning_change_nothing_of_it(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=1, flush_rows=3)
    fill(spec, range(20))
    run_once(spec)
    before = [(p.chain_end, p.lag, p.rows) for p in read_status(spec).partitions]
    for _ in range(2):
        compact_store(spec.store.path, MergeSize(everything=True), None, datetime(2026, 1, 1, tzinfo=UTC))
    assert [(p.chain_end, p.lag, p.rows) for p in read_status(spec).partitions] == before == [(20, 0, {"ok": 20})]


def test_the_verb_prints_it_for_machines(new_fleet: NewFleet, tmp_path: Path) -> None:
    spec = new_fleet(partitions=2)
    create_topic(spec.kafka)
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(msgspec.to_builtins(spec)))
    done = fleetsift("status", path, "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["topic"], [p["lag"] for p in status["partitions"]]) == (spec.kafka.topic, [0, 0])
    assert "chain end" in fleetsift("status", path).stdout
