"""Work beside a run, in a thread of its own: what fails there is logged and tried again, and holds nobody up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from fleetsift.errors import FleetsiftError
from fleetsift.streaming.progress import RunProgress

log = logging.getLogger(__name__)


@contextmanager
def in_background(
    what: str, work: Callable[[RunProgress], None], every_s: float
) -> Iterator[Callable[[RunProgress], None]]:
    """Do some work now and then, and once more at the end; yields whom to tell how far the run is.

    The work gets the latest progress. A FleetsiftError of it is a line in the log, another a whole trace.
    """
    over = Event()
    latest: RunProgress | None = None

    def tell(progress: RunProgress) -> None:
        nonlocal latest
        latest = progress

    def attempt() -> None:
        if latest is not None:
            try:
                work(latest)
            except FleetsiftError as error:
                log.warning("%s: %s", what, error)
            except Exception:
                log.exception("%s: this is a mistake of ours; the run goes on without", what)

    def go_on() -> None:
        while not over.wait(every_s):
            attempt()
        attempt()

    with ThreadPoolExecutor(1, thread_name_prefix=what.replace(" ", "-")) as pool:
        going_on = pool.submit(go_on)
        try:
            yield tell
        finally:
            over.set()
            going_on.result()
