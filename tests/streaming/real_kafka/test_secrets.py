"""Row 35: everything a stream leaves behind, at its most talkative, is searched for the password it was given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fleetsift.schemas.fleet import FleetSpec, KafkaSecurity
from tests.oracle import check_store
from tests.streaming.kafka.test_offsets import grouped, run_watched
from tests.streaming.operations.test_dead_letters import check_letters, send_mixed, with_letters
from tests.streaming.real_kafka.server import PASSWORD, USER, KafkaServer

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
