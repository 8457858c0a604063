"""How every client reaches the brokers, and what their refusals mean to people."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kafka.errors

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka.security import security_settings
from fleetsift.streaming.source import SourceSilent

for _room in ("", ".admin", ".consumer", ".net", ".producer", ".protocol"):  # at DEBUG they print SASL passwords
    logging.getLogger(f"kafka{_room}").setLevel(logging.WARNING)


_REFUSALS = {
    "SaslAuthenticationFailed": "the username or password is refused; mend the credentials",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not one of those trusted; mend kafka.security.ca_file",
}


class _Refusals(logging.Handler):
    """Hears from kafka-python's log why a connection failed: the error it raises is a time-out, whatever happened."""

    heard: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        self.heard = next((reason for sign, reason in _REFUSALS.items() if sign in said), self.heard)


_refusals = _Refusals(logging.WARNING)
logging.getLogger("kafka.net.manager").addHandler(_refusals)

_BOOTSTRAP_MS = 10_000


def client_settings(spec: KafkaSpec) -> dict[str, Any]:
    """What every client takes to reach the brokers."""
    reach = {"bootstrap_servers": list(spec.brokers), "bootstrap_timeout_ms": _BOOTSTRAP_MS}
    return reach | (security_settings(spec.security) if spec.security else {})


def brokers_of(spec: KafkaSpec) -> str:
    """As errors name them."""
    return ", ".join(spec.brokers)


@contextmanager
def speaking_to(spec: KafkaSpec) -> Iterator[None]:
    """Turn kafka-python's errors into ours."""
    _refusals.heard = None
    try:
        yield
    except kafka.errors.UnknownTopicOrPartitionError as error:
        raise SourceError(f"kafka.topic: {spec.topic} is not on {brokers_of(spec)}; was it deleted?") from error
    except kafka.errors.RetriableError as error:  # time-outs, lost connections, leaders that move
        if _refusals.heard:
            raise SourceError(f"kafka.security: {brokers_of(spec)}: {_refusals.heard}") from error
        hung_up = ", or kafka.security: brokers may hang up on wrong credentials" if spec.security else ""
        raise SourceSilent(
            f"kafka.brokers: no answer from {brokers_of(spec)}; start the broker or mend the address{hung_up}"
        ) from error
    except kafka.errors.KafkaError as error:
        raise SourceError(f"kafka: {brokers_of(spec)} refused, {type(error).__name__}: {error}") from error
