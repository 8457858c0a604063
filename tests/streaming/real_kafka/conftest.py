"""The same fleets as in the folder above, on Apache Kafka itself: one broker for all these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fetched import NotHere
from tests.streaming.real_kafka.server import KafkaServer, fetch_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Apache Kafka, running."""
    try:
        jars = fetch_kafka()
    except NotHere as error:
        pytest.skip(f"Apache Kafka cannot run here: {error}")
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), jars)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def broker(kafka: KafkaServer) -> str:
    """host:port of Apache Kafka, in place of the embedded broker's."""
    return kafka.address
