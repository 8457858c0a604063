"""An object store that is away: it is waited for, no frame of it is given up; a frame that cannot be had is a row."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import msgspec
import pytest

from fleetsift.engines.function import null_engine
from fleetsift.errors import SourceError
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.fleet import FleetSpec, FramesSpec, StoreSpec, WorkersSpec
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.manifests.topic import open_manifest
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import Acknowledged, check_store
from tests.s3 import Fault, FaultyProxy, S3Server

ROWS = 24
TRIES = 2


@pytest.fixture
def fleet(bucket: str, tmp_path: Path, frames_root: Path) -> FleetSpec:
    """A manifest of frames in a bucket."""
    frames = ObjectPrefix.open(f"{bucket}/frames", "tests", timeout_s=10, retries=1)
    for n in range(ROWS):
        frames.overwrite(f"{n:02}.jpg", (frames_root / "good.jpg").read_bytes())
    manifest = tmp_path / "fleet.jsonl"
    row = '{{"frame_id": "f{0}", "session_id": "s", "uri": "{1}/{0:02}.jpg"}}\n'
    manifest.write_text("".join(row.format(n, frames.url) for n in range(ROWS)))
    return FleetSpec(
        manifest=ManifestSpec(path=str(manifest)),
        frames=FramesSpec(roots=(frames.url,), timeout_s=10, retries=TRIES - 1, outage_s=600),
        ensemble="ensemble.yaml",
        store=StoreSpec(path=str(tmp_path / "scores"), flush_rows=5),
        workers=WorkersSpec(batch=4),
    )


@pytest.fixture
def proxy(fleet: FleetSpec, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3.port).run() as running:
        for name, value in s3.environment(running.port).items():
            monkeypatch.setenv(name, value)
        yield running


def score(spec: FleetSpec, stop: Event | None = None) -> Meter:
    assert spec.manifest is not None
    topic, meter = open_manifest(spec.manifest), Meter()
    score_partitions(Job(spec, topic, topic.partitions, True, 2, null_engine), stop or Event(), meter)
    return meter


def expected(spec: FleetSpec) -> Acknowledged:
    return {("fleet", 0, n): f"f{n}" for n in range(ROWS)}


def test_a_store_that_comes_back_has_cost_no_frame(
    fleet: FleetSpec, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    def is_back() -> bool:
        """With the second question whether it is there, when the requests that were asked before have all failed."""
        return sum(asked.endswith(".fleetsift-probe") for asked in proxy.asked) > 2 * TRIES

    proxy.verdict = lambda *_: Fault.NONE if is_back() or len(proxy.asked) < 6 else Fault.ERROR_503
    assert score(fleet).rows == {"ok": ROWS}
    assert check_store(fleet.store.path, expected(fleet)) == {"ok": ROWS}
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("does not answer; waiting for it" in line for line in said) == 1
    assert sum("answers again" in line for line in said) == 1


def test_a_manifest_is_waited_for_too_and_gone_on_with(
    fleet: FleetSpec, proxy: FaultyProxy, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It lies in a bucket: away while its parts are opened, and while it is asked whether it is still the same."""
    text = Path(fleet.manifest.path if fleet.manifest else "").read_bytes()
    ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1).overwrite("fleet.jsonl", text)
    manifest = ManifestSpec(path=f"{bucket}/fleet.jsonl", rows_per_part=4)
    spec = msgspec.structs.replace(fleet, manifest=manifest)
    proxy.asked.clear()
    refused: list[str] = []

    def verdict(_: str, path: str) -> Fault:
        if path.endswith("fleet.jsonl") and len(proxy.asked) > 8 and len(refused) < 12:  # three times, and all retries
            refused.append(path)
            return Fault.ERROR_503
        return Fault.NONE

    proxy.verdict = verdict
    assert score(spec).rows == {"ok": ROWS}
    assert check_store(spec.store.path, {("fleet", n // 4, n % 4): f"f{n}" for n in range(ROWS)}) == {"ok": ROWS}
    assert "manifest.path: no answer from" in caplog.text


def test_a_store_that_stays_away_stops_the_run_and_the_next_goes_on(fleet: FleetSpec, proxy: FaultyProxy) -> None:
    proxy.verdict = lambda *_: Fault.ERROR_500 if len(proxy.asked) > 12 else Fault.NONE
    impatient = msgspec.structs.replace(
        fleet,
        frames=msgspec.structs.replace(fleet.frames, outage_s=1.0),
        store=msgspec.structs.replace(fleet.store, flush_rows=1000),
    )
    with pytest.raises(SourceError, match=r"frames\.roots: s3://.* has given no answer for .* no frame was given up"):
        score(impatient)
    assert len(list(Path(fleet.store.path).rglob("*.parquet"))) == 1, "what was scored before is kept"
    proxy.verdict = lambda *_: Fault.NONE
    score(fleet)
    assert check_store(fleet.store.path, expected(fleet)) == {"ok": ROWS}


def test_one_frame_that_cannot_be_had_is_a_row(fleet: FleetSpec, proxy: FaultyProxy) -> None:
    proxy.verdict = lambda _, path: Fault.ERROR_503 if path.endswith(("/07.jpg", "/19.jpg")) else Fault.NONE
    assert score(fleet).rows == {"ok": ROWS - 2, "unreachable": 2}
    assert check_store(fleet.store.path, expected(fleet)) == {"ok": ROWS - 2, "unreachable": 2}


def test_a_stop_waits_for_no_store(fleet: FleetSpec, proxy: FaultyProxy) -> None:
    stop = Event()

    def verdict(*_: str) -> Fault:
        if len(proxy.asked) > 12:
            stop.set()
        return Fault.ERROR_503

    proxy.verdict = verdict
    with pytest.raises(SourceError, match="no frame was given up"):
        score(fleet, stop)
    assert check_store(fleet.store.path, {}) == {}
