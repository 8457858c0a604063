"""Real Ray, real processes, a real broker: workers and the driver are killed by -9 and every record is one row."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import msgspec
import numpy as np
import psutil
import pytest
import ray
from PIL import Image

from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.engines.engine import Engine
from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.errors import EnsembleError, SourceError
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.progress import RunProgress
from tests.oracle import Acknowledged, check_store, produce
from tests.streaming.conftest import fill, record
from tests.streaming.running import PATIENCE_S, wait_for
from tests.streaming.test_run_logs import write_fleet
from tests.test_cli import FLEETSIFT

pytestmark = pytest.mark.slow

TWO = WorkersSpec(count=2, batch=4, cpus=1, threads=1)
NewFleet = Callable[..., FleetSpec]
WHITE = ["w0", "w1", "w2"]


def slow_engine() -> Engine:
    """Ten milliseconds a frame: slow enough to be killed in the middle."""
    row = constant_row()

    def score(_: np.ndarray) -> object:
        time.sleep(0.01)
        return row

    return FunctionEngine(score)  # type: ignore[arg-type]


def failing_engine() -> Engine:
    raise EnsembleError("members[0]: expected a network, got a poem; mend it")


def dying_engine() -> Engine:
    """Opens in the driver; kills the worker that opens it."""
    if ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        os.kill(os.getpid(), signal.SIGKILL)
    return slow_engine()


def engine_that_dies_of_white_frames() -> Engine:
    """As a decoder or runtime does that crashes on one frame, whenever it sees it."""
    row = constant_row()

    def score(pixels: np.ndarray) -> object:
        if pixels.min() == 255:
            ctypes.string_at(0)  # in this very thread: a signal to the process would let it score on for a while
        return row

    return FunctionEngine(score)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One local Ray for the tests that do not kill it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=4, include_dashboard=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


def send(spec: FleetSpec, uri: str, names: list[str], partition: int) -> Acknowledged:
    """Send frames that are all of one file."""
    records = [(name, record(name, uri=uri), partition) for name in names]
    return produce(spec.kafka.brokers[0], spec.kafka.topic, records)


def workers() -> list[psutil.Process]:
    """The living worker processes of this test's Ray."""
    return [process for process in psutil.Process().children(recursive=True) if process.name() == "ray::Worker"]


def test_two_workers_score_everything_once(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=4, workers=TWO)
    acknowledged = fill(spec, range(120))
    seen: list[RunProgress] = []
    done = run_fleet(spec, until_end=True, stop=Event(), on_progress=seen.append, engine=slow_engine)
    assert check_store(Path(spec.store.path), acknowledged) == done.rows == {"ok": 120}
    assert (done.workers, done.lag, done.restarts) == (2, 0, 0)
    assert [progress.frames for progress in seen] == sorted(progress.frames for progress in seen)


def test_a_worker_killed_in_the_middle_is_replaced(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=4, workers=TWO)
    acknowledged = fill(spec, range(1500))
    killed: list[int] = []

    def kill_one(progress: RunProgress) -> None:
        if (
            len(killed) < 3
            and progress.frames > 60 * (len(killed) + 1)
            and (alive := [w for w in workers() if w.pid not in killed])
        ):
            alive[0].kill()
            killed.append(alive[0].pid)

    done = run_fleet(spec, until_end=True, stop=Event(), on_progress=kill_one, engine=slow_engine)
    assert len(killed) == done.restarts == 3
    assert check_store(Path(spec.store.path), acknowledged) == done.rows == {"ok": 1500}


def test_a_stopped_run_publishes_what_it_read_and_the_next_goes_on(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=2, workers=TWO, flush_rows=100_000)
    spec = msgspec.structs.replace(spec, store=msgspec.structs.replace(spec.store, flush_s=3600))
    acknowledged = fill(spec, range(1000))
    stop = Event()

    def stop_soon(progress: RunProgress) -> None:
        if progress.frames > 40:
            stop.set()

    first = run_fleet(spec, until_end=False, stop=stop, on_progress=stop_soon, engine=slow_engine)
    assert 40 < first.frames < 1000
    second = run_fleet(spec, until_end=True, stop=Event(), engine=slow_engine)
    assert first.frames + second.frames == 1000
    check_store(Path(spec.store.path), acknowledged)


def test_two_jobs_on_one_topic_and_store(new_fleet: NewFleet) -> None:
    spec = new_fleet(partitions=2, workers=msgspec.structs.replace(TWO, count=1))
    acknowledged = fill(spec, range(200))
    other = Thread(target=run_fleet, args=(spec,), kwargs={"until_end": True, "stop": Event(), "engine": slow_engine})
    other.start()
    run_fleet(spec, until_end=True, stop=Event(), engine=slow_engine)
    other.join()
    check_store(Path(spec.store.path), acknowledged)


def test_frames_that_kill_their_workers_become_rows_and_the_run_ends(new_fleet: NewFleet, frames_root: Path) -> None:
    """Row 23: a real segfault in the thread that scores, on two neighbours of many frames and on the very last one."""
    Image.fromarray(np.full((48, 64, 3), 255, np.uint8)).save(frames_root / "white.png")
    spec = new_fleet(partitions=2, workers=msgspec.structs.replace(TWO, count=1))
    acknowledged = fill(spec, range(60))
    acknowledged |= send(spec, "white.png", ["w0", "w1"], 0)
    acknowledged |= fill(spec, range(60, 90))
    acknowledged |= send(spec, "white.png", ["w2"], 1)
    done = run_fleet(spec, until_end=True, stop=Event(), engine=engine_that_dies_of_white_frames)
    assert check_store(Path(spec.store.path), acknowledged) == done.rows == {"ok": 90, "crash": 3}
    assert done.restarts >= 2 * 3
    with ScoreStore(spec.store.path) as store:
        told = store.sql("SELECT frame_id, reason FROM rows WHERE status = 'crash' ORDER BY 1").fetchall()
    assert told == [(name, "2 workers died on this frame, alone with it; it was not touched again") for name in WHITE]
    again = run_fleet(spec, until_end=True, stop=Event(), engine=engine_that_dies_of_white_frames)
    assert again.restarts == again.frames == 0


def test_workers_that_die_before_they_read_end_the_run(new_fleet: NewFleet) -> None:
    """No frame is blamed for what is wrong with the engine or the machine."""
    spec = new_fleet(partitions=1, workers=msgspec.structs.replace(TWO, count=1))
    fill(spec, range(3))
    began_s = time.monotonic()
    with pytest.raises(SourceError, match=r"of partitions \[0\] died 6 times before it began to read"):
        run_fleet(spec, until_end=True, stop=Event(), engine=dying_engine)
    assert time.monotonic() - began_s >= 15, "pauses of 0, 1, 2, 4 and 8 seconds before the new starts"
    assert not list(Path(spec.store.path).rglob("*.parquet"))


def test_what_a_worker_refuses_is_raised_here(new_fleet: NewFleet) -> None:
    spec = new_fleet(workers=TWO)
    fill(spec, range(3))
    with pytest.raises(EnsembleError, match="got a poem"):
        run_fleet(spec, until_end=True, stop=Event(), engine=failing_engine)


def test_a_missing_topic_is_said_before_anything_starts(new_fleet: NewFleet) -> None:
    with pytest.raises(SourceError, match="is not on"):
        run_fleet(new_fleet(workers=TWO), until_end=True, stop=Event(), engine=slow_engine)


def processes_of(session: int, name: str) -> list[psutil.Process]:
    """Processes of a session (setsid) that still run."""
    alive = []
    for process in psutil.process_iter(["name", "status"]):
        with suppress(ProcessLookupError):
            is_named = process.info["name"] == name and process.info["status"] != psutil.STATUS_ZOMBIE
            if is_named and os.getsid(process.pid) == session:
                alive.append(process)
    return alive


def segments(spec: FleetSpec) -> dict[Path, int]:
    """The published files and their sizes."""
    return {path: path.stat().st_size for path in Path(spec.store.path).rglob("*.parquet")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "words"),
    [
        ("driver", ""),
        ("raylet", "fleetsift: ray: expected a node that is alive, got none: was its raylet killed? Run again: "),
        ("gcs_server", "fleetsift: ray: expected its head at "),
    ],
)
def test_whoever_of_a_run_is_killed_no_worker_is_left_and_the_next_run_goes_on(
    new_fleet: NewFleet, tmp_path: Path, victim: str, words: str
) -> None:
    """Row 15: kill -9 of the driver or of its Ray: all of it ends, no orphan writes, the next run goes on.

    Ray's agents take a minute more; they touch no store.
    """
    spec = msgspec.structs.replace(new_fleet(partitions=4, workers=TWO), ensemble=str(demo_ensemble()))
    acknowledged = fill(spec, range(2000))
    command = [*FLEETSIFT, "run", str(write_fleet(spec, tmp_path / "fleet.yaml")), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as driver:
        while len(segments(spec)) < 20:
            assert driver.poll() is None, driver.communicate()
            time.sleep(0.05)
        wait_for(lambda: len(processes_of(driver.pid, "ray::Worker")) == 2)
        workers = processes_of(driver.pid, "ray::Worker")
        [killed] = [psutil.Process(driver.pid)] if victim == "driver" else processes_of(driver.pid, victim)
        killed.kill()
        results, said = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == (-signal.SIGKILL if victim == "driver" else 1), said.decode()
        assert (said.decode().splitlines() or [""])[-1].startswith(words)
        assert results == b""
        _, left = psutil.wait_procs(workers, timeout=PATIENCE_S)
        assert left == []
    published = segments(spec)
    time.sleep(2)
    assert segments(spec) == published, "an orphan writes"
    acknowledged |= fill(spec, range(2000, 2100))
    done = run_fleet(spec, until_end=True, stop=Event())
    assert 100 <= done.frames < 2100
    assert check_store(Path(spec.store.path), acknowledged) == {"ok": 2100}
