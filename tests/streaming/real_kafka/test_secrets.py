"""Row 35: everything a stream leaves behind, at its most talkative, is searched for the secrets it was given."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fleetsift.schemas.fleet import FleetSpec, KafkaSecurity, WorkersSpec
from fleetsift.store.folder import open_folder
from tests.oracle import check_store
from tests.s3 import KEYS
from tests.streaming.conftest import fill
from tests.streaming.kafka.test_offsets import grouped, run_watched
from tests.streaming.operations.test_dead_letters import check_letters, send_mixed, with_letters
from tests.streaming.real_kafka.server import PASSWORD, USER, KafkaServer
from tests.streaming.test_run_logs import write_fleet

pytestmark = pytest.mark.slow


def test_no_secret_in_logs_footers_or_dead_letters(
    new_fleet: Callable[..., FleetSpec], kafka: KafkaServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Logs at DEBUG of everybody, every file of the store, every letter."""
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "kafka.secret"
    secret.write_text(f"{USER}\n{PASSWORD}\n")
    plain = grouped(with_letters(new_fleet(partitions=2)))
    security = KafkaSecurity(credentials_file=str(secret), ca_file=str(kafka.ca))
    section = msgspec.structs.replace(plain.kafka, brokers=(kafka.secure_address,), security=security)
    acknowledged = send_mixed(plain)
    run_watched(msgspec.structs.replace(plain, kafka_section=section))
    check_store(plain.store.path, acknowledged)
    letters = check_letters(plain)
    assert len(letters) == 15
    assert "published a segment" in caplog.text
    files = [path for path in Path(plain.store.path).rglob("*") if path.is_file()]
    told = [caplog.text.encode(), *(path.read_bytes() for path in files), *map(msgspec.json.encode, letters)]
    assert not [text for text in told if PASSWORD.encode() in text]


@pytest.mark.timeout(600)
def test_no_secret_in_what_a_run_says_or_ray_keeps_of_it_or_is_reported(
    new_fleet: Callable[..., FleetSpec], kafka: KafkaServer, bucket: str, tmp_path: Path
) -> None:
    """A run at DEBUG, a batch and its report, with secrets in the environment: all output, files and objects of it.

    Among them every file of Ray's session: logs of its processes, of the driver, and of our workers.
    """
    plain = new_fleet(partitions=2, workers=WorkersSpec(count=2, batch=4, cpus=0.5, threads=1))
    acknowledged = fill(plain, range(30))
    section = msgspec.structs.replace(
        plain.kafka, brokers=(kafka.secure_address,), security=KafkaSecurity(ca_file=str(kafka.ca))
    )
    store = msgspec.structs.replace(plain.store, path=f"{bucket}/scores")
    fleet = write_fleet(msgspec.structs.replace(plain, kafka_section=section, store=store), tmp_path / "fleet.yaml")
    told = {
        "FLEETSIFT_KAFKA_PASSWORD": PASSWORD,
        "AWS_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    environment = os.environ | told | {"FLEETSIFT_KAFKA_USERNAME": USER, "RAY_AUTH_MODE": "token"}
    environment |= {"FLEETSIFT_LOG_LEVEL": "debug"}
    left: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="fs-ray-") as session:  # sockets need a short path
        for verb in ("run --until-end", "select --out batch", "report batch --out report.html"):
            name, *options = verb.split()
            done = subprocess.run(
                [sys.executable, "-c", "from fleetsift.cli import main; main()", name, fleet, *options],
                env=environment | {"RAY_TMPDIR": session},
                cwd=tmp_path,
                capture_output=True,
                timeout=400,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            left |= {f"{name} >": done.stdout, f"{name} 2>": done.stderr}
        for folder in (Path(session), tmp_path):
            left |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert check_store(f"{bucket}/scores", acknowledged) == {"ok": 30}
    objects = open_folder(f"{bucket}/scores")
    left |= {name: objects.read(name) for name in objects.names()}
    assert b"published a segment" in left["run 2>"]
    for kept in ("/raylet.out", "/gcs_server.out", ".err", "/report.html", ".parquet"):
        assert [place for place, text in left.items() if place.endswith(kept) and text], kept
    assert not [(place, name) for place, text in left.items() for name, word in told.items() if word.encode() in text]
