"""What several rooms' tests share: where the shared real data lies, and how a skipped test says why."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.azure import AzureServer, azure_server
from tests.s3 import S3Server, s3_server

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # time fails no test: a busy machine is no finding

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real driving frames and networks that are not part of the project; tests that need them skip without."""
    if not (SHARED / "camvid" / "index.csv").is_file():
        pytest.skip(f"real frames and networks are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a fresh bucket; the default credential chain finds the way to it."""
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    name = f"fleet-{uuid.uuid4().hex[:12]}"
    (s3.data / name).mkdir()
    return f"s3://{name}"


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """A real server of Azure's blobs on loopback."""
    with azure_server(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture
def container(azure: AzureServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a fresh container; the default credential chain finds the way to it."""
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    name = f"fleet-{uuid.uuid4().hex[:12]}"
    azure.make_container(name)
    return f"az://{name}"
