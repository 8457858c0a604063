"""A real S3 server process (versitygw) on loopback, and a proxy before it that fails as networks do."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread

import pytest

from tests.fetched import NotHere, fetch_once

VERSION = "v1.8.0"
KEYS = {"AWS_ACCESS_KEY_ID": "fleetsift", "AWS_SECRET_ACCESS_KEY": "only-for-tests"}


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server that is running; its buckets are the folders of `data`."""

    port: int
    data: Path
    pid: int

    def environment(self, port: int | None = None) -> dict[str, str]:
        """What the default credential chain finds; with a port, requests go through a proxy there."""
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}", "AWS_ALLOW_HTTP": "true"}
        return KEYS | endpoint | {"AWS_REGION": "us-east-1"}

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP: it takes connections and answers nobody, until the block ends."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


def find_versitygw() -> Path:
    """The server's binary; skips the test where it cannot be had."""
    command = ["go", "install", f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"]
    try:
        return fetch_once(f"versitygw-{VERSION}", ("go",), command, {"GOBIN": "{folder}"}) / "versitygw"
    except NotHere as error:
        pytest.skip(f"the S3 server (versitygw) cannot be built: {error}")


@contextmanager
def s3_server(folder: Path, port: int | None = None) -> Iterator[S3Server]:
    """Start a server whose objects lie in a folder, on some port or a given one; it ends with the block."""
    binary, port, data, meta = find_versitygw(), port or free_port(), folder / "data", folder / "meta"
    data.mkdir(exist_ok=True)
    meta.mkdir()
    command = [str(binary), "--quiet", "--port", f"127.0.0.1:{port}", "posix", "--sidecar", str(meta), str(data)]
    keys = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    with subprocess.Popen(command, env=os.environ | keys, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 120
            while not is_listening(port):
                assert process.poll() is None, "versitygw ended before it answered"
                assert time.monotonic() < until, "versitygw does not answer"
                time.sleep(0.05)
            yield S3Server(port, data, process.pid)
        finally:
            process.terminate()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Fault(Enum):
    """What becomes of one request."""

    NONE = auto()
    ERROR_500 = auto()  # never reaches the server
    ERROR_503 = auto()
    REFUSED_AFTER = auto()  # served, and then answered with 500
    LOST_ANSWER = auto()  # served, and then the connection ends
    SILENCE = auto()  # served, and no answer ever comes
    HALF_ANSWER = auto()  # the connection ends in the middle of the body


Verdict = Callable[[str, str], Fault]  # (method, path) -> what happens


@dataclass
class FaultyProxy:
    """Passes requests on to a server, and does to each what `verdict` says; counts what it was asked."""

    target: int
    verdict: Verdict = lambda _method, _path: Fault.NONE
    asked: list[str] = field(default_factory=list)
    port: int = 0
    answers_after: int = 1  # before so many requests wait at once, none is answered
    at_once: int = 0
    most_at_once: int = 0

    @contextmanager
    def run(self) -> Iterator[FaultyProxy]:
        """Serve until the block ends."""
        proxy, closing, enough, lock = self, Event(), Event(), Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with lock:
                    proxy.asked.append(f"{self.command} {self.path}")
                    proxy.at_once += 1
                    proxy.most_at_once = max(proxy.most_at_once, proxy.at_once)
                    if proxy.at_once >= proxy.answers_after:
                        enough.set()
                    fault = proxy.verdict(self.command, self.path)
                enough.wait(60)
                try:
                    self.treat(fault, body)
                finally:
                    with lock:
                        proxy.at_once -= 1

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815

            def treat(self, fault: Fault, body: bytes) -> None:
                if fault in (Fault.ERROR_500, Fault.ERROR_503):
                    self.answer(500 if fault is Fault.ERROR_500 else 503, {}, b"")
                    return
                connection = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=300)
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                reply = connection.getresponse()
                content, headers = reply.read(), dict(reply.getheaders())
                connection.close()
                if fault is Fault.REFUSED_AFTER:
                    self.answer(500, {}, b"")
                elif fault is Fault.LOST_ANSWER:
                    self.close_connection = True
                elif fault is Fault.SILENCE:
                    closing.wait()
                    self.close_connection = True
                elif fault is Fault.HALF_ANSWER:
                    self.answer(reply.status, headers, content, keep=len(content) // 2)
                    self.close_connection = True
                else:
                    self.answer(reply.status, headers, content)

            def answer(self, status: int, headers: dict[str, str], content: bytes, keep: int | None = None) -> None:
                length = headers.get("Content-Length", str(len(content)))
                with suppress(OSError):
                    self.send_response_only(status)
                    for name, value in headers.items():
                        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                            self.send_header(name, value)
                    self.send_header("Content-Length", length)
                    self.end_headers()
                    self.wfile.write(content[:keep])

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_port
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            closing.set()
            server.shutdown()
            thread.join()
            server.server_close()
