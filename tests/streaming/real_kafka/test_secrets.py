"""Row 35: everything a run leaves behind, at its most talkative, is searched for the password it was given."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import ray

from fleetsift.schemas.fleet import FleetSpec, KafkaSecurity, WorkersSpec
from fleetsift.streaming.kafka import create_topic
from tests.oracle import check_store, produce
from tests.streaming.real_kafka.server import PASSWORD, USER, KafkaServer
from tests.streaming.test_dead_letters import check_letters, with_letters
from tests.streaming.test_run import MIXED
from tests.streaming.test_run_logs import write_fleet
from tests.test_cli import fleetsift

pytestmark = pytest.mark.slow


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A short name: the paths of Ray's sockets have to fit 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_no_secret_in_logs_footers_or_dead_letters(
    new_fleet: Callable[..., FleetSpec],
    kafka: KafkaServer,
    tmp_path: Path,
    ray_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Logs of the driver and of Ray's processes at DEBUG, every file of the store, the configuration, the letters."""
    monkeypatch.setenv("RAY_TMPDIR", str(ray_folder))
    secret = tmp_path / "kafka.secret"
    secret.write_text(f"{USER}\n{PASSWORD}\n")
    plain = with_letters(new_fleet(partitions=2, workers=WorkersSpec(batch=4, cpus=0.5, threads=1)))
    security = KafkaSecurity(credentials_file=str(secret), ca_file=str(kafka.ca))
    section = msgspec.structs.replace(plain.kafka, brokers=(kafka.secure_address,), security=security, group="lag")
    create_topic(plain.kafka)
    acknowledged = produce(plain.kafka.brokers[0], plain.kafka.topic, [(n, v, i % 2) for i, (n, v) in enumerate(MIXED)])
    fleet = write_fleet(msgspec.structs.replace(plain, kafka_section=section), tmp_path / "fleet.yaml")
    done = fleetsift("run", fleet, "--until-end", "--json", "--log", "json", "--log-level", "debug")
    assert done.returncode == 0, done.stderr
    check_store(plain.store.path, acknowledged)
    assert len(check_letters(plain)) == 5
    assert "published a segment" in done.stderr
    logs = [path for path in ray_folder.rglob("session_*/logs/**/*") if path.is_file()]
    assert any(path.name.startswith("worker-") for path in logs), "the logs of Ray's workers"
    footers = [path for path in Path(plain.store.path).rglob("*") if path.is_file()]
    told = [done.stdout.encode(), done.stderr.encode(), *(path.read_bytes() for path in (*logs, *footers, fleet))]
    told += [msgspec.json.encode(letter) for letter in check_letters(plain)]
    assert not [text for text in told if PASSWORD.encode() in text]
    assert not ray.is_initialized()
