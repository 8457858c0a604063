"""A bad wire: passes TCP connections on to a broker, late, not at all, or until it cuts them off."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from threading import Lock, Thread


class Trouble(Enum):
    """What the wire does to bytes while it lasts."""

    NONE = auto()
    LATE = auto()  # each piece comes a twentieth of a second later
    HALF_OPEN = auto()  # connections stay open; what is sent is lost, and they are never of use again
    RESET = auto()  # every connection is reset, old or new


class Wire:
    """Listens on a port of loopback and forwards to another, with the trouble of the moment."""

    def __init__(self, port: int, target: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._target = target
        self._trouble = Trouble.NONE
        self._open: list[socket.socket] = []
        self._lock = Lock()
        self.resets = 0

    @contextmanager
    def run(self) -> Iterator[Wire]:
        """Forward until the block ends."""
        accepting = Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            accepting.join()
            self._server.close()
            self.change(Trouble.RESET)

    def change(self, trouble: Trouble) -> None:
        """From now on; connections that live are reset where that is the trouble."""
        with self._lock:
            self._trouble = trouble
            if trouble is Trouble.RESET:
                for connection in self._open:
                    self._reset(connection)
                self._open = []

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with self._lock:
                if self._trouble is Trouble.RESET:
                    self._reset(client)
                    continue
                broker = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, broker]
            for ends in ((client, broker), (broker, client)):
                Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        dead = False
        with suppress(OSError):
            while data := source.recv(65_536):
                dead = dead or self._trouble is Trouble.HALF_OPEN
                if self._trouble is Trouble.LATE:
                    time.sleep(0.05)
                if not dead:
                    sink.sendall(data)
        if not dead:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def _reset(self, connection: socket.socket) -> None:
        self.resets += 1
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RD)  # wakes the thread that reads
        connection.close()
