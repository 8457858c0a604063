"""Who starts while the object store or the brokers are away waits for them; whoever asks for the status is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml

from fleetsift.configuration import read_fleet
from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.engines.function import null_engine
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.streaming.topics import open_topic
from tests.oracle import check_store
from tests.s3 import S3Server, free_port, s3_server
from tests.streaming.running import PATIENCE_S, wait_for
from tests.test_cli import FLEETSIFT

ROWS = 40
EXPECTED: dict[tuple[str, int, int], str | None] = {("fleet", 0, n): f"f{n}" for n in range(ROWS)}
WAITING = "asking again"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server of this test alone, to which the default credential chain leads."""
    with s3_server(tmp_path) as running:
        (running.data / "bucket").mkdir()
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def fleet(tmp_path: Path, frames_root: Path) -> Path:
    """Frames on the disk, rows in a bucket."""
    lines = ({"frame_id": f"f{n}", "session_id": "s", "uri": str(frames_root / "good.jpg")} for n in range(ROWS))
    (tmp_path / "fleet.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = {
        "manifest": {"path": "fleet.jsonl"},
        "frames": {"roots": [str(frames_root)]},
        "ensemble": str(demo_ensemble()),
        "store": {"path": "s3://bucket/scores", "timeout_s": 1.0},
    }
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


@contextmanager
def typed(verb: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A verb in a process of its own."""
    command = [*FLEETSIFT, verb, *map(str, arguments)]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with subprocess.Popen(command, env=ours, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines of its standard error up to one with these words."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"it ended without saying so: {lines}")


def test_a_worker_waits_for_a_store_that_is_started_after_it(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port, away = free_port(), tmp_path / "away"
    (away / "data" / "bucket").mkdir(parents=True)
    for name, value in S3Server(port, away, 0).environment().items():
        monkeypatch.setenv(name, value)
    spec = read_fleet(fleet)
    topic, meter = open_topic(spec), Meter()
    job = Job(spec, topic, topic.partitions, True, 2, null_engine)
    worker = Thread(target=score_partitions, args=(job, Event(), meter))
    worker.start()
    wait_for(lambda: WAITING in caplog.text)
    assert not meter.rows
    with s3_server(away, port):
        worker.join(PATIENCE_S)
        assert not worker.is_alive()
        assert check_store(spec.store.path, EXPECTED) == meter.rows == {"ok": ROWS}


@pytest.mark.slow
def test_a_run_waits_for_a_store_that_is_stopped_when_it_starts(fleet: Path, server: S3Server) -> None:
    with server.stopped(), typed("run", fleet, "--until-end", "--json") as run:
        read_until(run, WAITING)
        os.kill(server.pid, signal.SIGCONT)
        out, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, errors
    assert json.loads(out)["rows"] == check_store("s3://bucket/scores", EXPECTED) == {"ok": ROWS}


@pytest.mark.slow
def test_a_run_that_waits_for_its_store_ends_soon_when_told(fleet: Path, server: S3Server) -> None:
    with server.stopped(), typed("run", fleet) as run:
        read_until(run, WAITING)
        run.terminate()
        out, errors = run.communicate(timeout=PATIENCE_S)  # its own patience is twice that
    assert (run.returncode, out) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith("fleetsift: s3://bucket/scores")
    assert "the object store gives no answer" in last


@pytest.mark.slow
def test_a_run_waits_for_its_brokers_too_and_ends_soon_when_told(fleet: Path) -> None:
    spec = yaml.safe_load(fleet.read_text())
    del spec["manifest"]
    spec["kafka"] = {"brokers": [f"127.0.0.1:{free_port()}"], "topic": "cars"}
    fleet.write_text(yaml.safe_dump(spec))
    with typed("run", fleet) as run:
        said = read_until(run, WAITING)[-1]
        assert "kafka.brokers: no answer from 127.0.0.1" in said
        run.terminate()
        out, errors = run.communicate(timeout=60)  # its patience is ten times that
    assert (run.returncode, out) == (1, "")
    assert errors.splitlines()[-1].startswith("fleetsift: kafka.brokers: no answer from 127.0.0.1")


def test_who_asks_for_the_status_is_told_in_one_line(fleet: Path, server: S3Server) -> None:
    with server.stopped(), typed("status", fleet) as status:
        out, errors = status.communicate(timeout=PATIENCE_S)
    assert (status.returncode, out) == (1, "")
    [line] = errors.splitlines()
    assert line.startswith("fleetsift: s3://bucket/scores")
    assert "the object store gives no answer" in line
    assert "wait for it, or mend the address" in line


def test_who_watches_the_status_outlasts_the_store(fleet: Path, server: S3Server) -> None:
    with typed("status", fleet, "--watch", "--json") as status:
        assert status.stdout is not None
        looks = (json.loads(line) for line in status.stdout)
        assert next(looks)["partitions"][0]["lag"] == ROWS
        with server.stopped():
            assert "gives no answer" in next(look for look in looks if "error" in look)["error"]
        assert next(look for look in looks if "error" not in look)["partitions"][0]["lag"] == ROWS
