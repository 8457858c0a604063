"""Real cgroups that let their processes have so much memory and no more; the kernel kills who asks for more."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class MemoryGroup:
    """A cgroup (version 1) whose processes may have so many bytes together."""

    folder: Path

    def enter(self) -> None:
        """Move this process into it; what it has already is not counted."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def most_bytes(self) -> int:
        """The most that was used at once."""
        return int((self.folder / "memory.max_usage_in_bytes").read_text())

    @property
    def kills(self) -> int:
        """Processes that the kernel has killed for want of memory."""
        facts = dict(line.split() for line in (self.folder / "memory.oom_control").read_text().splitlines())
        return int(facts["oom_kill"])


@contextmanager
def memory_groups() -> Iterator[Callable[[int], MemoryGroup]]:
    """Makes groups below the one that this process is in; skips the test where none can be made."""
    places = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = next((place for _, controllers, place in places if controllers == "memory"), None)
    if mine is None:
        pytest.skip("there is no memory controller of cgroup version 1")
    made: list[Path] = []

    def make(most_bytes: int) -> MemoryGroup:
        folder = Path(f"/sys/fs/cgroup/memory/{mine}") / f"fleetsift-{uuid.uuid4().hex[:8]}"
        try:
            folder.mkdir()
            (folder / "memory.limit_in_bytes").write_text(str(most_bytes))
        except OSError as error:
            pytest.skip(f"no cgroup can be made: {error}")
        made.append(folder)
        return MemoryGroup(folder)

    try:
        yield make
    finally:
        deadline = time.monotonic() + 240
        for folder in made:
            while (folder / "cgroup.procs").read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
            folder.rmdir()
