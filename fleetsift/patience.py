"""Waiting for who gives no clear answer: asked again after ever longer pauses, for so many seconds, and it is said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat
from threading import Event
from typing import TypeVar

from fleetsift.errors import FleetsiftError

T = TypeVar("T")
log = logging.getLogger(__name__)

_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on asking, and whether also for a while once a worker is told to stop."""

    silence: type[FleetsiftError]  # what is raised where nobody answers
    most_s: float
    stop: Event
    stopping_s: float = 0.0  # since it was first asked, at most, once `stop` is set

    def ask(self, request: Callable[[], T]) -> T:
        """What a request answers, which is made again while nobody does; raises its `silence` when patience is over."""
        began_s = time.monotonic()
        for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            try:
                return request()
            except self.silence as silence:
                most_s = min(self.most_s, self.stopping_s) if self.stop.is_set() else self.most_s
                left_s = began_s + most_s - time.monotonic()
                if left_s <= 0:
                    raise
                log.warning("%s; asking again, for %.0f s more", silence, left_s)
            if self.stop.is_set():
                time.sleep(min(pause_s, left_s, 1.0))
            else:
                self.stop.wait(min(pause_s, left_s))
        raise AssertionError("the last pause is repeated for ever")
