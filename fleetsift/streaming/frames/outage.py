"""Tells an object store that is away from an object that cannot be had, and waits for the store.

A request is made again a few times, and then given up. Was it the object, or the store? A probe for a key that nobody
has tells: a store that is there answers that it has none. While it does not, no frame becomes a row: what is asked
waits and is asked again, and after the patience the run stops loudly, to go on from where the store of scores ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TypeVar

from fleetsift.errors import FrameError, SourceError
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.status import Status

log = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSE_S = 2.0  # between questions to a store that is away


@dataclass(slots=True)
class Outage:
    """One worker's patience with its object stores; none where it is 0."""

    patience_s: float
    stop: Event
    _lock: Lock = field(default_factory=Lock)
    _probed: dict[str, tuple[float, bool]] = field(default_factory=dict)  # when last, and whether it answered
    _back: dict[str, float] = field(default_factory=dict)  # since when a store that was away answers again

    def ask(self, prefix: ObjectPrefix, request: Callable[[], T]) -> T:
        """What a request answers.

        Raises the FrameError of a request that fails while the store is there, SourceError where it stays away.
        """
        away_since: float | None = None
        while True:
            began = time.monotonic()
            try:
                answer = request()
            except FrameError as error:
                failed = time.monotonic()
                if error.status is not Status.UNREACHABLE or not self.patience_s:
                    raise
                if self._is_there(prefix, failed):
                    if self._back.get(prefix.url, 0.0) < began:
                        raise
                    continue  # it came back in the meantime: that this request failed says nothing of its object
                away_since = began if away_since is None else away_since
                if self.stop.is_set() or failed - away_since > self.patience_s:
                    raise SourceError(
                        f"frames.roots: {prefix.url} has given no answer for {failed - away_since:.0f} s "
                        f"({error.reason}); no frame was given up: run again when it is back"
                    ) from error
                self.stop.wait(_PAUSE_S)
            else:
                if away_since is not None:
                    with self._lock:
                        self._heard(prefix, began, there=True)
                return answer

    def _is_there(self, prefix: ObjectPrefix, failed: float) -> bool:
        """Whether the store has answered a probe that began after a request had failed; threads share a probe."""
        with self._lock:
            probed, there = self._probed.get(prefix.url, (0.0, True))
            if probed < failed:
                began, there = time.monotonic(), prefix.answers()
                self._heard(prefix, began, there=there)
            return there

    def _heard(self, prefix: ObjectPrefix, began: float, *, there: bool) -> None:
        _, before = self._probed.get(prefix.url, (0.0, True))
        self._probed[prefix.url] = began, there
        if before and not there:
            log.warning("%s does not answer; waiting for it, %g s at most", prefix.url, self.patience_s)
        elif there and not before:
            self._back[prefix.url] = time.monotonic()
            log.warning("%s answers again", prefix.url)
