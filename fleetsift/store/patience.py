"""Waiting for an object store that gives no clear answer: for minutes, but not once a worker is told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, repeat
from threading import Event
from typing import TypeVar

from fleetsift.errors import OutcomeUnknown

T = TypeVar("T")
log = logging.getLogger(__name__)

_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STOPPING_S = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on asking: so many seconds, and after `stop` no more than ten."""

    most_s: float = _STOPPING_S
    stop: Event = field(default_factory=Event)

    def ask(self, request: Callable[[], T]) -> T:
        """Ask again while the outcome is unknown; raises OutcomeUnknown when patience is over."""
        began_s = time.monotonic()
        for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            try:
                return request()
            except OutcomeUnknown as trouble:
                if time.monotonic() - began_s >= (min(self.most_s, _STOPPING_S) if self.stop.is_set() else self.most_s):
                    raise
                log.warning("%s; looking again in %g s", trouble, pause_s)
                if self.stop.is_set() or self.stop.wait(pause_s):
                    time.sleep(min(pause_s, 1.0))
        raise AssertionError("the last pause is repeated for ever")
