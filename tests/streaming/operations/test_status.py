"""How far a stream is, told from the store and the topic alone, before, during and after runs."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import yaml
from rich.console import Console

from fleetsift.board import status_table
from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.store.compaction import MergeSize, compact_store
from fleetsift.streaming.kafka.topic import create_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.operations.status import FleetStatus, PartitionStatus, read_status
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.topics import open_topic
from tests.oracle import produce
from tests.streaming.conftest import fill, record, run_once
from tests.test_cli import fleetsift

NewFleet = Callable[..., FleetSpec]


def shown(spec: FleetSpec) -> str:
    return as_text(read_status(spec))


def as_text(status: FleetStatus, most: int = 20) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(status_table(status, most))
    return console.export_text()


def first_cells(text: str) -> list[str]:
    """What stands in the first column, from the first row to the sums."""
    return [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]


def drawn_partition(number: int, **known: Any) -> PartitionStatus:
    calm: dict[str, Any] = {"chain_end": 100, "lag": 0, "rows": {"ok": 100}, "rows_per_s": 1.5, "rowless_offsets": 0}
    return PartitionStatus(number, **calm | {"published_at": None} | known)


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


def test_a_manifest_of_a_thousand_parts(new_fleet: NewFleet, tmp_path: Path) -> None:
    """Its lag is known from its parts; a table shows as many of them as it is asked to, and sums up the others."""
    manifest = tmp_path / "fleet.jsonl"
    lines = (json.dumps({"frame_id": f"f{i}", "session_id": "s", "uri": "none.jpg"}) for i in range(3000))
    manifest.write_text("\n".join(lines))
    spec = msgspec.structs.replace(
        new_fleet(), kafka_section=None, manifest=ManifestSpec(path=str(manifest), rows_per_part=3)
    )
    topic = open_topic(spec)
    score_partitions(Job(spec, topic, (0, 7, 999), True, 2, null_engine), Event(), Meter())
    status = read_status(spec)
    assert (status.topic, len(status.partitions)) == ("fleet", 1000)
    scored = {p.partition: (p.chain_end, p.lag, p.rows) for p in status.partitions if p.chain_end}
    assert scored == dict.fromkeys((0, 7, 999), (3, 0, {"denied": 3}))
    assert {p.lag for p in status.partitions if not p.chain_end} == {3}
    text = as_text(status, most=12)
    assert first_cells(text)[-2:] == ["989 others", "all"]
    assert len(first_cells(text)) == 13
    assert re.search(r"989 others .* 2,958 .* denied 9 ", text)
    assert re.search(r"all .* 2,991 .* denied 9 ", text)


def test_where_there_is_no_room_the_worst_are_shown() -> None:
    calm = [drawn_partition(number) for number in range(1000)]
    bad = {
        400: drawn_partition(400, lag=7, lost="retention has removed [3, 9)"),
        300: drawn_partition(300, lag=None),
        200: drawn_partition(200, lag=5000),
        100: drawn_partition(100, lag=70),
        900: drawn_partition(900, rows={"ok": 1, "missing": 9}),
    }
    status = FleetStatus("t", "i", "e", "s", "2026-01-01T00:00:00+00:00", 60.0, [bad.get(p.partition, p) for p in calm])
    text = as_text(status, most=7)
    assert first_cells(text) == ["400", "300", "200", "100", "900", "0", "994 others", "all"]
    assert re.search(r"all .* 5,077 \+ .* 99,901 .* missing 9 ", text)
    assert first_cells(as_text(status, most=1000))[:-1] == [str(number) for number in range(1000)]
