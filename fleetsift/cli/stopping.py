"""How a long verb is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import typer


@contextmanager
def stopping() -> Iterator[tuple[Event, Event]]:
    """Two events: `stop`, set by SIGTERM and Ctrl-C, and `interrupted`, set by Ctrl-C; a second Ctrl-C ends at once."""
    stop, interrupted = Event(), Event()

    def on_interrupt(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        typer.echo("stopping: what was read is being published (again to end at once)", err=True)
        interrupted.set()
        stop.set()

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, on_interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: stop.set()),
    }
    try:
        yield stop, interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
