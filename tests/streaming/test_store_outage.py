"""An object store that is away when rows are to be published: scored rows wait in memory, and nothing more is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest

from fleetsift.engines.function import null_engine
from fleetsift.errors import OutcomeUnknown, StoreError
from fleetsift.schemas.fleet import FleetSpec, FramesSpec, StoreSpec, WorkersSpec
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.manifests.topic import open_manifest
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from tests.oracle import check_store
from tests.s3 import Fault, FaultyProxy, S3Server
from tests.streaming.running import PATIENCE_S, wait_for

ROWS = 400
PUBLISHED_FIRST = 40  # PUT requests that are served: a segment, or the hint at a chain's end

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The way to the bucket; after some requests to write there, none is served."""
    with FaultyProxy(s3.port).run() as running:
        for name, value in s3.environment(running.port).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def fleet(bucket: str, tmp_path: Path, frames_root: Path) -> FleetSpec:
    """Frames on the disk, rows in the bucket."""
    manifest = tmp_path / "fleet.jsonl"
    row = '{{"frame_id": "f{}", "session_id": "s", "uri": "{}"}}\n'
    manifest.write_text("".join(row.format(n, frames_root / "good.jpg") for n in range(ROWS)))
    return FleetSpec(
        manifest=ManifestSpec(path=str(manifest)),
        frames=FramesSpec(roots=(str(frames_root),)),
        ensemble="ensemble.yaml",
        store=StoreSpec(path=f"{bucket}/scores", flush_rows=7, timeout_s=10, outage_s=600),
        workers=WorkersSpec(batch=4),
    )


class Scoring:
    """The hot path in a thread: what it counted, and the error it ended with."""

    def __init__(self, spec: FleetSpec) -> None:
        assert spec.manifest is not None
        topic = open_manifest(spec.manifest)
        self.meter, self.stop, self.error = Meter(), Event(), list[StoreError]()
        self._job = Job(spec, topic, topic.partitions, True, 2, null_engine)
        self.thread = Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            score_partitions(self._job, self.stop, self.meter)
        except StoreError as error:
            self.error.append(error)


def cut_off(proxy: FaultyProxy) -> Callable[[], int]:
    """Serve some requests to write and then none; returns what counts those that were not served."""
    refused = []

    def verdict(method: str, path: str) -> Fault:
        if sum(asked.startswith("PUT") for asked in proxy.asked) <= PUBLISHED_FIRST:
            return Fault.NONE
        refused.append(path)
        return Fault.ERROR_503

    proxy.verdict = verdict
    return lambda: len(refused)


def expected() -> dict[tuple[str, int, int], str | None]:
    return {("fleet", 0, n): f"f{n}" for n in range(ROWS)}


def test_rows_wait_for_their_store_and_nothing_more_is_read(fleet: FleetSpec, proxy: FaultyProxy) -> None:
    refused = cut_off(proxy)
    scoring = Scoring(fleet)
    wait_for(lambda: refused() >= 4)
    waiting = scoring.meter.rows.total()
    assert scoring.meter.read().queues["rows"] <= 7 + 4
    outlasted = refused() + 14  # seven times a PUT and a look: with pauses, more than ten seconds
    wait_for(lambda: refused() >= outlasted)
    assert scoring.meter.rows.total() == waiting < ROWS
    proxy.verdict = lambda *_: Fault.NONE
    scoring.thread.join(PATIENCE_S)
    assert (scoring.thread.is_alive(), scoring.error) == (False, [])
    assert check_store(fleet.store.path, expected()) == scoring.meter.rows == {"ok": ROWS}


def test_a_drain_does_not_wait_for_the_store_and_the_next_run_scores_again(
    fleet: FleetSpec, proxy: FaultyProxy
) -> None:
    refused = cut_off(proxy)
    scoring = Scoring(fleet)
    wait_for(lambda: refused() >= 4)
    scoring.stop.set()
    scoring.thread.join(PATIENCE_S)  # its patience is twice that
    assert not scoring.thread.is_alive()
    assert isinstance(scoring.error[0], OutcomeUnknown)
    proxy.verdict = lambda *_: Fault.NONE
    Scoring(fleet).thread.join(PATIENCE_S)
    assert check_store(fleet.store.path, expected()) == {"ok": ROWS}


def test_a_store_that_stays_away_ends_the_run(fleet: FleetSpec, proxy: FaultyProxy) -> None:
    cut_off(proxy)
    scoring = Scoring(msgspec.structs.replace(fleet, store=msgspec.structs.replace(fleet.store, outage_s=1.0)))
    scoring.thread.join(PATIENCE_S)
    assert "it is not known whether it was published" in str(scoring.error[0])
