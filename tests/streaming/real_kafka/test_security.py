"""TLS and passwords on Apache Kafka: what is right is read, what is wrong is one clear line, no secret is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import FleetSpec, KafkaSecurity
from fleetsift.schemas.messages import FrameMessage
from fleetsift.streaming.kafka.publish import publish
from fleetsift.streaming.kafka.topic import describe_topic
from tests.streaming.conftest import run_once
from tests.streaming.real_kafka.server import PASSWORD, USER, KafkaServer, make_certificate

pytestmark = pytest.mark.slow
NewFleet = Callable[..., FleetSpec]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "kafka.secret"
    file.write_text(f"{USER}\n{PASSWORD}\n")
    return file


def secured(spec: FleetSpec, kafka: KafkaServer, security: KafkaSecurity) -> FleetSpec:
    of_kafka = msgspec.structs.replace(spec.kafka, brokers=(kafka.secure_address,), security=security)
    return msgspec.structs.replace(spec, kafka_section=of_kafka)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_published_and_scored_over_tls_and_nothing_is_told(
    new_fleet: NewFleet,
    kafka: KafkaServer,
    secret: Path,
    caplog: pytest.LogCaptureFixture,
    mechanism: Literal["SCRAM-SHA-512", "PLAIN"],
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="kafka")
    security = KafkaSecurity(mechanism=mechanism, credentials_file=str(secret), ca_file=str(kafka.ca))
    spec = secured(new_fleet(), kafka, security)
    publish(spec.kafka, [FrameMessage(frame_id=f"f{i}", session_id="s", uri="good.jpg") for i in range(30)])
    assert run_once(spec).rows == {"ok": 30}
    files = [path.read_bytes() for path in Path(spec.store.path).rglob("*") if path.is_file()]
    assert PASSWORD not in caplog.text
    assert files
    assert not [data for data in files if PASSWORD.encode() in data]


def test_a_wrong_password_is_said_and_not_told(
    new_fleet: NewFleet, kafka: KafkaServer, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret.write_text(f"{USER}\nhunter2-wrong\n")
    spec = secured(new_fleet(), kafka, KafkaSecurity(credentials_file=str(secret), ca_file=str(kafka.ca)))
    with pytest.raises(SourceError, match=r"password is refused|hang up on wrong credentials") as caught:
        describe_topic(spec.kafka)
    assert "hunter2" not in str(caught.value) + caplog.text


def test_a_broker_of_another_authority_is_not_trusted(
    new_fleet: NewFleet, kafka: KafkaServer, secret: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other = make_certificate(tmp_path / "other")
    spec = secured(new_fleet(), kafka, KafkaSecurity(credentials_file=str(secret), ca_file=str(other)))
    with pytest.raises(SourceError, match=r"certificate is not one of those trusted; mend kafka\.security\.ca_file"):
        describe_topic(spec.kafka)
    assert PASSWORD not in caplog.text
