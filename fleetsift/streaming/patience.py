"""Waiting for a source that does not answer: some seconds between questions, so many in all, and it is said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import chain, repeat
from threading import Event
from typing import TypeVar

from fleetsift.streaming.source import SourceSilent

T = TypeVar("T")
log = logging.getLogger(__name__)

_PAUSES_S = (0.5, 1.0, 2.0, 5.0)


def with_patience(patience_s: float, stop: Event, ask: Callable[[], T]) -> T:
    """Ask again while nobody answers, for so many seconds in all and not after `stop`; raises SourceSilent then."""
    deadline_s = time.monotonic() + patience_s
    for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
        try:
            return ask()
        except SourceSilent as error:
            left_s = deadline_s - time.monotonic()
            if stop.is_set() or left_s <= 0:
                raise
            log.warning("%s; asking again, for %.0f s more", error, left_s)
            stop.wait(min(pause_s, left_s))
    raise AssertionError("the last pause is repeated for ever")
