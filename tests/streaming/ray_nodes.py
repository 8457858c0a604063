"""A real Ray cluster on loopback, as an administrator starts one: a head that wants a token, and nodes that join it.

Every node has its own address of 127.0.0.0/8, its own processes and its own resources; what is started here is stopped
here, by process id.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.s3 import free_port

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300
_MOST_NODES = 8


@dataclass
class RayNodes:
    """A head and the nodes that joined it, each a `ray start --block` process."""

    folder: Path
    network: str  # 127.a.b, where no other cluster on this machine is
    environment: dict[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""  # host:port of the head
    dashboard: str = ""

    def start_head(self, cpus: int) -> None:
        """Start the head, whose dashboard is on loopback; once more where a busy machine lets it time out."""
        while not self.dashboard:
            port, dashboard_port = free_port(), free_port()
            address = f"{self.network}.{len(self.nodes) + 1}:{port}"
            ports = [f"--port={port}", f"--dashboard-port={dashboard_port}", f"--ray-client-server-port={free_port()}"]
            head = self.join(
                cpus, "--head", *ports, "--dashboard-host=127.0.0.1", f"--temp-dir={self.folder}/{len(self.nodes)}"
            )
            if self.has_started(head):
                self.address, self.dashboard = address, f"http://127.0.0.1:{dashboard_port}"

    def join(self, cpus: int, *more: str) -> subprocess.Popen[bytes]:
        """Start one more node; it is part of the cluster some seconds later."""
        number = len(self.nodes) + 1
        common = ["--block", f"--node-ip-address={self.network}.{number}", f"--num-cpus={cpus}"]
        common += [f"--dashboard-agent-listen-port={free_port()}", "--object-store-memory=80000000"]
        with (self.folder / f"node-{number}.log").open("wb") as log:
            node = subprocess.Popen(
                [BIN / "ray", "start", *common, "--disable-usage-stats", *more],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes.append(node)
        return node

    def join_worker_node(self, cpus: int) -> subprocess.Popen[bytes]:
        """Start a node that is not the head, and once more where a busy machine lets it time out."""
        while True:
            node = self.join(cpus, f"--address={self.address}")
            if self.has_started(node):
                return node

    def has_started(self, node: subprocess.Popen[bytes]) -> bool:
        """Wait until a node has joined; False where it has given up, which on a busy machine Ray does, or has to."""
        deadline = time.monotonic() + PATIENCE_S
        while node.poll() is None and time.monotonic() < deadline:
            if b"Ray runtime started" in self.log(node):
                return True
            time.sleep(0.2)
        assert len(self.nodes) < _MOST_NODES, f"nodes of Ray do not start; the last one said:\n{self.log(node)!r}"
        self.stop(node)
        return False

    def log(self, node: subprocess.Popen[bytes]) -> bytes:
        """What a node has said."""
        return (self.folder / f"node-{self.nodes.index(node) + 1}.log").read_bytes()

    def living(self) -> list[subprocess.Popen[bytes]]:
        """The nodes that run."""
        return [node for node in self.nodes if node.poll() is None]

    def workers(self, node: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The living actors of ours that a node runs."""
        return processes_below(node, "ray::Worker")

    def job(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Type `ray job …` at this cluster."""
        reach = {"RAY_ADDRESS": self.dashboard}
        return subprocess.run(
            [BIN / "ray", "job", *arguments],
            env=(environment or self.environment) | reach,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def stop(self, node: subprocess.Popen[bytes]) -> None:
        """Kill a node with all that it started, as a machine that loses its power."""
        family = [*processes_below(node), psutil.Process(node.pid)] if node.poll() is None else []
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait(timeout=PATIENCE_S)


def processes_below(node: subprocess.Popen[bytes], name: str | None = None) -> list[psutil.Process]:
    """Every living process that a node started, itself or through others; with a name, only those that have it."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(node.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # one that ends just now is none
                if process.status() != psutil.STATUS_ZOMBIE and name in (None, process.name()):
                    found.append(process)
    return found


@contextmanager
def ray_nodes(folder: Path, head_cpus: int) -> Iterator[RayNodes]:
    """Start a head whose dashboard and jobs answer on loopback, to the token in `folder` alone."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = ours | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_JOB_STOP_WAIT_TIME_S": "120",
        "RAY_TMPDIR": str(folder),
    }
    network = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(255)}"
    cluster = RayNodes(folder, network, environment)
    try:
        cluster.start_head(head_cpus)
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            cluster.stop(node)
