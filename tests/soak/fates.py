"""What may befall a writer at any of its steps on the disk: it dies, it is refused, or it is stopped for a while.

The steps are those that Python itself tells of (audit events): opening a file or a folder, linking, removing. The
writer's code is the real one and knows nothing of this. One that has died takes no further step, as after kill -9.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

_STEPS = {
    "open": 0,
    "os.link": 1,
    "os.rename": 1,
    "os.remove": 0,
    "os.mkdir": 0,
}  # audit event -> which argument is the path


class Fate(StrEnum):
    """What happens at a step."""

    DIES = "dies"  # before it takes the step; whatever it did before stays
    IS_REFUSED = "is refused"  # the disk is full, for this step alone
    IS_STOPPED = "is stopped"  # others act, then it goes on
    IS_KILLED = "is killed"  # kill -9 of this very process


class Died(BaseException):
    """A writer has died; nothing catches this but who started it."""


class _Watch:
    """The steps that are counted now; there is one, as audit hooks are for ever and for the whole process."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.left = 0
        self.fate: Fate | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.dead = False

    def step(self, event: str, args: tuple[object, ...]) -> None:
        if event not in _STEPS or self.root is None or not str(args[_STEPS[event]]).startswith(self.root):
            return
        if self.dead:
            raise Died
        if self.fate is None:
            return
        self.left -= 1
        if self.left >= 0:
            return
        fate, self.fate = self.fate, None
        if fate is Fate.IS_KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if fate is Fate.IS_REFUSED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fate is Fate.DIES:
            self.dead = True
            raise Died
        root, self.root = self.root, None
        self.meanwhile()
        self.root = root


_watch = _Watch()
_hooked: list[bool] = []


@contextmanager
def befall(
    root: Path, fate: Fate, after_steps: int, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[Callable[[], bool]]:
    """Let a fate befall whoever acts in the block below `root`, at the step after so many; a death ends the block.

    Yields what tells whether it came to it.
    """
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_watch.step)
    _watch.root, _watch.left, _watch.fate, _watch.meanwhile = str(root), after_steps, fate, meanwhile
    try:
        with suppress(Died):
            yield lambda: _watch.fate is None
    finally:
        _watch.root, _watch.dead = None, False
