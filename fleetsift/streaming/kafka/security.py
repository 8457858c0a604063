"""How to speak to brokers that want TLS or a password; secrets are read at each connection, and kept nowhere."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

from fleetsift.errors import ConfigError
from fleetsift.schemas.fleet import KafkaSecurity

USERNAME, PASSWORD = "FLEETSIFT_KAFKA_USERNAME", "FLEETSIFT_KAFKA_PASSWORD"


def security_settings(security: KafkaSecurity) -> dict[str, Any]:
    """What kafka-python's clients take; raises ConfigError where a certificate or the credentials cannot be read."""
    settings: dict[str, Any] = {"security_protocol": security.protocol}
    if security.protocol.endswith("SSL"):
        settings["ssl_context"] = _trusting(security.ca_file)
    if security.protocol.startswith("SASL"):
        username, password = _credentials(security.credentials_file)
        settings |= {"sasl_plain_username": username, "sasl_plain_password": password}
        settings["sasl_mechanism"] = security.mechanism
    return settings


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"kafka.security.ca_file: expected certificates in PEM, {ca_file} cannot be read as such; mend the path"
        ) from error


def _credentials(file: str | None) -> tuple[str, str]:
    """Username and password, from the two lines of a file or from the environment."""
    if file is None:
        found = [os.environ.get(USERNAME, ""), os.environ.get(PASSWORD, "")]
        source = f"{USERNAME} and {PASSWORD}"
    else:
        source = f"two lines, username and password, in {file}"
        try:
            found = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"kafka.security.credentials_file: expected {source}, it cannot be read") from error
    if len(found) != 2 or not all(found):
        raise ConfigError(f"kafka.security: expected {source}; set them, or name another credentials_file")
    return found[0], found[1]
