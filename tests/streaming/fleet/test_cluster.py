"""RAY_ADDRESS that names nobody, and a Ray that does not start: one line, soon. Wrong tokens: test_jobs.py."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
import ray
import yaml
from ray._private.services import find_gcs_addresses

from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.errors import ClusterError, ConfigError
from fleetsift.schemas.fleet import WorkersSpec
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.streaming.fleet.cluster import cluster
from tests.s3 import free_port
from tests.test_cli import FLEETSIFT

PATIENCE_S = 600  # a hanging run fails


def run_with(fleet: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Type `fleetsift run` in an environment that says more of Ray."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [*FLEETSIFT, "run", fleet],
        env=ours | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def fleet(tmp_path: Path, frames_root: Path) -> Path:
    """A configuration without a broker: a folder of frames, and the demo's networks."""
    path = tmp_path / "fleet.yaml"
    spec = {
        "manifest": {"path": str(frames_root)},
        "frames": {"roots": [str(frames_root)]},
        "ensemble": str(demo_ensemble()),
        "store": {"path": "scores"},
    }
    path.write_text(yaml.safe_dump(spec))
    return path


@pytest.mark.slow
def test_an_address_where_nobody_listens(fleet: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = run_with(fleet, {"RAY_ADDRESS": address})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"fleetsift: RAY_ADDRESS: expected a Ray head that answers, {address} does not: ")
    assert "Connection refused" in line


def test_auto_where_no_cluster_runs(fleet: Path) -> None:
    if find_gcs_addresses():  # type: ignore[no-untyped-call]
        pytest.skip("a Ray is running on this machine, which auto would join")
    done = run_with(fleet, {"RAY_ADDRESS": "auto"})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("fleetsift: RAY_ADDRESS: expected a Ray head that answers, auto does not: ")
    assert "ray start --head" in line


@pytest.mark.slow
def test_an_address_where_another_service_listens(fleet: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = run_with(fleet, {"RAY_ADDRESS": address})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]  # before it, Ray's own warnings of the attempt
    assert line.startswith(f"fleetsift: RAY_ADDRESS: expected the head of a Ray cluster at {address}, and could not")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:8265", "ray job submit"),
        ("ray://127.0.0.1:10001", "ray job submit"),
        ("nonsense", "Invalid address format"),
        ("no.such.host.invalid:6379", "does not: "),
        ("127.0.0.1:66000", "does not: "),
    ],
)
def test_what_is_no_address_of_a_head(address: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError, match=r"^RAY_ADDRESS: ") as refused, cluster(WorkersSpec()):
        pass
    assert address in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.slow
def test_a_ray_that_does_not_start(fleet: Path) -> None:
    done = run_with(fleet, {"RAY_TMPDIR": "/proc"})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("fleetsift: ray: expected to start one on this machine, got ")
    assert "/proc/ray" in line


@pytest.mark.slow
def test_a_run_s_own_ray_wants_a_token(fleet: Path) -> None:
    """Its ports are open to the network, and whoever may use them runs code here."""
    with cluster(WorkersSpec()):
        address = ray.get_runtime_context().gcs_address
        done = run_with(fleet, {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"fleetsift: RAY_ADDRESS: {address} wants its token, and got ")


@pytest.mark.slow
def test_a_gpu_that_this_machine_does_not_have_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # on a machine with one, too
    workers = WorkersSpec(gpus=1, runtime=RuntimeSpec(name="cuda"))
    with pytest.raises(ConfigError, match=r"workers\.gpus: expected at most what this machine has"), cluster(workers):
        pass
