"""A manifest through the hot path: each row is one row of the store, resumed where it ends; the oracle counts."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import msgspec
import pytest
import ray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.configuration import read_fleet
from fleetsift.engines.function import null_engine
from fleetsift.errors import ConfigError, SourceError
from fleetsift.schemas.fleet import FleetSpec, FramesSpec, StoreSpec, WorkersSpec
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.manifests.topic import ManifestTopic, open_manifest
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import Acknowledged, check_store

NewManifest = Callable[..., FleetSpec]


@pytest.fixture
def new_manifest(tmp_path: Path, frames_root: Path) -> NewManifest:
    """Makes fleets that are read from a manifest of JSON lines, with so many rows."""
    numbers = iter(range(1000))

    def make(rows: int, *, rows_per_part: int = 20, flush_rows: int = 7, count: int = 1) -> FleetSpec:
        store = tmp_path / f"store-{next(numbers)}"
        write(tmp_path / "fleet.jsonl", rows)
        return FleetSpec(
            manifest=ManifestSpec(path=str(tmp_path / "fleet.jsonl"), rows_per_part=rows_per_part),
            frames=FramesSpec(roots=(str(frames_root),)),
            ensemble="ensemble.yaml",
            store=StoreSpec(path=str(store), flush_rows=flush_rows, flush_s=3600),
            workers=WorkersSpec(batch=4, count=count, threads=1),
        )

    return make


def write(path: Path, rows: int) -> None:
    """Rows of which each fifth has no file, and each seventh is no JSON."""
    with path.open("w") as file:
        for n in range(rows):
            uri = "frames/none.jpg" if n % 5 == 4 else "frames/good.jpg"
            row = json.dumps({"frame_id": f"f{n}", "session_id": f"s{n % 3}", "uri": uri})
            file.write(f"{'no json' if n % 7 == 6 else row}\n")


def expected(topic: ManifestTopic, rows: int) -> Acknowledged:
    """What the oracle compares with: each row at its part and offset."""
    per_part = topic.spec.rows_per_part
    return {(topic.name, *divmod(n, per_part)): None if n % 7 == 6 else f"f{n}" for n in range(rows)}


def score(spec: FleetSpec, partitions: tuple[int, ...] | None = None, stop_after: int | None = None) -> Meter:
    """Score a manifest, or some parts of it, in this process."""
    assert spec.manifest is not None
    topic, meter, stop = open_manifest(spec.manifest), Meter(), Event()

    class Stopping(Meter):
        def count(self, problems):  # type: ignore[no-untyped-def]
            super().count(problems)
            if stop_after is not None and self.rows.total() >= stop_after:
                stop.set()

    meter = Stopping()
    score_partitions(Job(spec, topic, partitions or topic.partitions, True, 2, null_engine), stop, meter)
    return meter


def test_every_row_is_scored_once_and_a_second_run_adds_nothing(new_manifest: NewManifest) -> None:
    spec = new_manifest(103)
    assert spec.manifest is not None
    topic = open_manifest(spec.manifest)
    assert (topic.name, topic.partitions) == ("fleet", (0, 1, 2, 3, 4, 5))
    meter = score(spec)
    assert check_store(spec.store.path, expected(topic, 103)) == meter.rows
    assert meter.rows["bad_message"] == 14
    assert meter.lag(6) == 0
    assert score(spec).rows == {}
    with ScoreStore(spec.store.path) as store:
        assert store.sql("SELECT count(*), count(DISTINCT partition) FROM rows").fetchall() == [(103, 6)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 90),
    rows_per_part=st.integers(1, 40),
    stops=st.lists(st.integers(1, 30), max_size=4),
    flush_rows=st.integers(1, 50),
)
def test_it_goes_on_from_the_store_however_often_it_is_stopped(
    new_manifest: NewManifest, rows: int, rows_per_part: int, stops: list[int], flush_rows: int
) -> None:
    spec = new_manifest(rows, rows_per_part=rows_per_part, flush_rows=flush_rows)
    assert spec.manifest is not None
    scored = sum(score(spec, stop_after=stop).rows.total() for stop in stops) + score(spec).rows.total()
    assert scored == rows
    check_store(spec.store.path, expected(open_manifest(spec.manifest), rows))


def test_a_manifest_that_was_written_again_is_another_topic(new_manifest: NewManifest, tmp_path: Path) -> None:
    spec = new_manifest(30)
    assert spec.manifest is not None
    before = open_manifest(spec.manifest)
    first = score(spec)
    write(tmp_path / "fleet.jsonl", 31)
    with pytest.raises(SourceError, match="was written again during the run"):
        before.look_again()
    after = open_manifest(spec.manifest)
    assert after.topic_id != before.topic_id
    assert score(spec).rows.total() == first.rows.total() + 1
    for other in ({"rows_per_part": 21}, {"every_s": 2.0}):
        assert open_manifest(msgspec.structs.replace(spec.manifest, **other)).topic_id != after.topic_id
    (tmp_path / "fleet.jsonl").touch()
    assert open_manifest(spec.manifest).topic_id == after.topic_id


def test_rows_of_a_manifest_written_again_meanwhile_are_not_published(
    new_manifest: NewManifest, tmp_path: Path
) -> None:
    spec = new_manifest(30)
    assert spec.manifest is not None
    job = Job(spec, open_manifest(spec.manifest), (0, 1), True, 2, null_engine)
    write(tmp_path / "fleet.jsonl", 40)
    with pytest.raises(SourceError, match="was written again during the run"):
        score_partitions(job, Event(), Meter())
    assert check_store(spec.store.path, {}) == {}


@pytest.fixture
def cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_two_workers_share_the_parts_and_the_run_ends_when_the_manifest_does(
    new_manifest: NewManifest, caplog: pytest.LogCaptureFixture
) -> None:
    spec = new_manifest(200, count=2)
    assert spec.manifest is not None
    done = run_fleet(spec, until_end=False, stop=Event(), engine=null_engine)
    assert check_store(spec.store.path, expected(open_manifest(spec.manifest), 200)) == done.rows
    assert (done.workers, done.lag, done.frames) == (2, 0, 200)
    assert not [record for record in caplog.records if "another topic" in record.message]
    write(Path(spec.manifest.path), 201)
    assert run_fleet(spec, until_end=False, stop=Event(), engine=null_engine).frames == 201
    assert [record for record in caplog.records if "fleet has changed since" in record.message]


FLEET = "frames: {roots: [frames]}\nensemble: e.yaml\nstore: {path: scores}\n"


def test_a_fleet_has_one_source(tmp_path: Path) -> None:
    kafka, manifest = "kafka: {brokers: ['h:1'], topic: t}\n", "manifest: {path: fleet.jsonl, every_s: 0.5}\n"
    path = tmp_path / "fleet.yaml"
    for text, got in ((FLEET, "neither"), (FLEET + kafka + manifest, "both")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=f"expected one of the sections kafka and manifest, got {got}"):
            read_fleet(path)
    path.write_text(FLEET + manifest)
    spec = read_fleet(path)
    assert spec.manifest is not None
    assert (spec.manifest.path, spec.manifest.step_s) == (str(tmp_path / "fleet.jsonl"), 0.5)
    with pytest.raises(ConfigError, match="kafka: missing, this fleet is read from a manifest"):
        _ = spec.kafka
    path.write_text(FLEET + manifest.replace("}", ", fps: 2}"))
    with pytest.raises(ConfigError, match=r"manifest: expected one of every_s and fps, got both"):
        read_fleet(path)
    path.write_text(FLEET + manifest.replace("fleet.jsonl", "s3://KEY:SECRET@b/x.csv"))
    with pytest.raises(ConfigError, match=r"manifest\.path: expected s3://") as refused:
        read_fleet(path)
    assert "SECRET" not in str(refused.value)
