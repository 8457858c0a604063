"""The thread budget, on drawn cgroup files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleetsift.threads import thread_budget

USABLE = len(os.sched_getaffinity(0))


def draw(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert thread_budget(tmp_path) == USABLE


@pytest.mark.parametrize(("quota", "threads"), [("100000 100000", 1), ("50000 100000", 1), ("190000 100000", 1)])
def test_version_2_quota(tmp_path: Path, quota: str, threads: int) -> None:
    root = draw(tmp_path, {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": quota + "\n"})
    assert thread_budget(root) == threads


def test_a_quota_is_rounded_down_and_never_exceeds_the_affinity(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "6400000 100000\n"}
    assert thread_budget(draw(tmp_path, files)) == min(USABLE, 64)


def test_no_quota(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}
    assert thread_budget(draw(tmp_path, files)) == USABLE


def test_the_tightest_quota_above_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/slice/job\n",
        "sys/fs/cgroup/slice/cpu.max": "100000 100000\n",
        "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
    }
    assert thread_budget(draw(tmp_path, files)) == 1


def test_a_host_path_that_is_not_mounted_leaves_the_mount_itself(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/kubepods/pod7\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}
    assert thread_budget(draw(tmp_path, files)) == 1


def test_version_1_quota(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "9:memory:/job\n4:cpu,cpuacct:/job\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    }
    assert thread_budget(draw(tmp_path, files)) == 1


def test_version_1_without_a_quota(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/job\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    }
    assert thread_budget(draw(tmp_path, files)) == USABLE
