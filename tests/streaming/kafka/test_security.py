"""Credentials come from a file or the environment, never from YAML, and no error quotes them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from fleetsift.configuration import read_fleet
from fleetsift.errors import ConfigError
from fleetsift.schemas.fleet import KafkaSecurity
from fleetsift.streaming.kafka.security import PASSWORD, USERNAME, security_settings

FLEET = """
kafka:
  brokers: [localhost:9092]
  topic: frames
  security: {%s}
frames: {roots: [frames]}
ensemble: ensemble.yaml
store: {path: scores}
"""


def test_credentials_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("fleet\npass word\n")
    settings = security_settings(KafkaSecurity(credentials_file=str(tmp_path / "secret")))
    assert isinstance(settings.pop("ssl_context"), ssl.SSLContext)
    assert settings == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "fleet",
        "sasl_plain_password": "pass word",
    }


def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERNAME, "fleet")
    monkeypatch.setenv(PASSWORD, "open")
    settings = security_settings(KafkaSecurity(protocol="SASL_PLAINTEXT", mechanism="PLAIN"))
    assert (settings["sasl_plain_username"], settings["sasl_plain_password"]) == ("fleet", "open")
    assert "ssl_context" not in settings
    assert security_settings(KafkaSecurity(protocol="SSL")).keys() == {"security_protocol", "ssl_context"}


@pytest.mark.parametrize("text", ["hunter2", "", "fleet\n\n", "fleet\nhunter2\nmore"])
def test_a_file_that_holds_no_credentials_is_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(ConfigError, match="two lines, username and password") as caught:
        security_settings(KafkaSecurity(credentials_file=str(tmp_path / "secret")))
    assert "hunter2" not in str(caught.value)


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(USERNAME, raising=False)
    with pytest.raises(ConfigError, match="expected FLEETSIFT_KAFKA_USERNAME and FLEETSIFT_KAFKA_PASSWORD"):
        security_settings(KafkaSecurity())
    with pytest.raises(ConfigError, match=r"credentials_file: expected two lines.*cannot be read"):
        security_settings(KafkaSecurity(credentials_file=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match=r"ca_file: expected certificates in PEM"):
        security_settings(KafkaSecurity(protocol="SSL", ca_file=str(tmp_path / "none")))


def test_paths_start_at_the_configuration_file_and_a_password_is_no_field(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET % "credentials_file: secret, ca_file: ca.pem")
    security = read_fleet(tmp_path / "fleet.yaml").kafka.security
    assert security == KafkaSecurity(credentials_file=str(tmp_path / "secret"), ca_file=str(tmp_path / "ca.pem"))
    (tmp_path / "fleet.yaml").write_text(FLEET % "password: hunter2")
    with pytest.raises(ConfigError, match="unknown field"):
        read_fleet(tmp_path / "fleet.yaml")
