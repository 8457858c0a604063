"""A run on a real broker and a real Ray, scraped as Prometheus would: its numbers are the oracle's."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleetsift.engines.function import FunctionEngine, constant_row, null_engine
from fleetsift.engines.rows import FrameRow
from fleetsift.errors import ConfigError
from fleetsift.schemas.fleet import FleetSpec, OperationsSpec, WorkersSpec
from fleetsift.store.chain import segment_names
from fleetsift.store.folder import open_folder
from fleetsift.store.segments import read_facts
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.kafka.topic import create_topic
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.operations.metrics import METRICS, serve_metrics
from fleetsift.streaming.progress import RunProgress, join_readings
from tests.oracle import check_store, produce
from tests.streaming.conftest import fill, run_once
from tests.streaming.test_run import MIXED

Scrape = dict[tuple[str, str], float]  # (sample, label's value) -> number


def scrape_text(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
        text: str = answer.read().decode()
        return text


def scrape(port: int) -> Scrape:
    families = list(text_string_to_metric_families(scrape_text(port)))
    return {(s.name, next(iter(s.labels.values()), "")): s.value for family in families for s in family.samples}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
def test_what_is_scraped_is_what_the_oracle_counts(new_fleet: Callable[..., FleetSpec], tmp_path: Path) -> None:
    spec = new_fleet(partitions=3, workers=WorkersSpec(count=2, batch=4, cpus=0.5, threads=1))
    spec = msgspec.structs.replace(spec, operations=OperationsSpec(metrics_port=free_port()))
    create_topic(spec.kafka)
    records = [(name, value, i % 3) for i, (name, value) in enumerate(MIXED * 10)]
    acknowledged = produce(spec.kafka.brokers[0], spec.kafka.topic, records)
    stop, scraped = Event(), Scrape()

    def look(progress: RunProgress) -> None:
        if progress.readings.counts.total() and sum(progress.readings.published.values()) == len(records):
            scraped.update(scrape(spec.operations.metrics_port or 0))
            stop.set()

    done = run_fleet(spec, until_end=False, stop=stop, on_progress=look, engine=null_engine)
    statuses = check_store(Path(spec.store.path), acknowledged)
    root = open_folder(spec.store.path)
    facts = [read_facts(root, name) for name in segment_names(root)]
    for status, rows in statuses.items():
        assert scraped["fleetsift_frames_total", status] == rows == done.rows[status]
        assert scraped["fleetsift_published_rows_total", status] == rows
    for partition in range(3):
        assert scraped["fleetsift_lag", str(partition)] == 0
        ends = [fact.next for fact in facts if fact.partition == partition]
        assert scraped["fleetsift_chain_end", str(partition)] == max(ends)
    assert scraped["fleetsift_queue_depth", "references"] == scraped["fleetsift_queue_depth", "rows"] == 0
    assert scraped["fleetsift_segment_rows_count", ""] == len(facts)
    assert scraped["fleetsift_segment_rows_sum", ""] == len(records)
    assert scraped["fleetsift_segment_rows_bucket", "100"] == sum(fact.rows <= 100 for fact in facts)
    assert scraped["fleetsift_segment_bytes_sum", ""] == sum(path.stat().st_size for path in segments_of(spec))
    assert scraped["fleetsift_workers", ""] == 2
    assert scraped["fleetsift_restarts_total", ""] == 0
    seconds = {stage: scraped["fleetsift_stage_seconds_total", stage] for stage in ("load", "score", "rows", "publish")}
    assert min(seconds.values()) > 0
    assert scraped["fleetsift_loader_seconds_total", "decode"] > 0
    assert (
        scraped["fleetsift_fetched_bytes_total", ""] == statuses["ok"] * (tmp_path / "frames/good.jpg").stat().st_size
    )
    assert sum(seconds.values()) <= 2 * scraped["fleetsift_run_seconds", ""]


def test_a_race_that_another_run_wins_is_counted(new_fleet: Callable[..., FleetSpec]) -> None:
    """A second run publishes everything while the first scores its first frame."""
    spec = new_fleet(partitions=1)
    acknowledged = fill(spec, range(10))
    others: list[Meter] = []
    row = constant_row()

    def score(_: np.ndarray) -> FrameRow:
        if not others:
            others.append(run_once(spec, lambda: FunctionEngine(lambda _: row)))
        return row

    ours = run_once(spec, lambda: FunctionEngine(score))
    check_store(Path(spec.store.path), acknowledged)
    with serve_metrics(OperationsSpec(metrics_port=0)) as (tell, port):
        counts = [meter.read() for meter in (ours, others[0])]
        told = []
        for readings in (*counts, join_readings(counts)):
            tell(RunProgress({}, None, 0.0, 1, 0, readings=readings))
            told.append(scrape(port)["fleetsift_conflicts_total", ""])
    lost = len(segments_of(spec))
    assert told == [lost, 0, lost]


def segments_of(spec: FleetSpec) -> list[Path]:
    return list(Path(spec.store.path).rglob("*.parquet"))


def test_a_metric_that_has_no_number_yet_is_announced_all_the_same() -> None:
    with serve_metrics(OperationsSpec(metrics_port=0)) as (_, port):
        text = scrape_text(port)
    for kind in METRICS:
        assert f"# HELP {kind.name}" in text


def test_a_port_that_is_taken_is_said() -> None:
    with (
        serve_metrics(OperationsSpec(metrics_port=0)) as (_, port),
        pytest.raises(ConfigError, match=re.escape(f"127.0.0.1:{port} gives Address already in use")),
        serve_metrics(OperationsSpec(metrics_port=port)),
    ):
        pass
