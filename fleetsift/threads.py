"""How many threads this process may keep busy: the smaller of its CPU affinity and its cgroup's quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def thread_budget(root: Path = Path("/")) -> int:
    """Count the CPUs this process may use at once, at least 1.

    A quota of 2.5 CPUs gives 2: a third thread would mostly wait for the next period, and hold up the others.
    root: where `proc` and `sys` are found; tests put a drawn file system there.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([usable, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The CPU quota of this process's cgroup and of every cgroup above it, in CPUs, where there is one."""
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if not controllers:  # version 2 has one hierarchy, without a list of controllers
            read, mount = _quota_v2, root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            read, mount = _quota_v1, root / "sys/fs/cgroup/cpu"
        else:
            continue
        # Inside a container the path may be the host's, which is not mounted there: then only the mount itself counts.
        inside = PurePosixPath(path).relative_to("/")
        for group in (inside, *inside.parents):
            quota = read(mount / group)
            if quota is not None:
                yield quota


def _quota_v2(group: Path) -> float | None:
    words = _words(group / "cpu.max")
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _quota_v1(group: Path) -> float | None:
    quota, period = _words(group / "cpu.cfs_quota_us"), _words(group / "cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) < 0:
        return None
    return int(quota[0]) / int(period[0])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
