"""A worker whose raylet is killed ends by itself: nobody could tell it to. With Ray itself: test_jobs.py."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tests.streaming.running import PATIENCE_S

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
CHILD = """
import time
from fleetsift.streaming.fleet.worker import exit_when_orphaned
exit_when_orphaned()
print(flush=True)
while True:
    time.sleep(0.1)  # as one that is busy, and hears nobody
"""


def test_a_process_whose_parent_is_killed_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    try:
        child.wait(PATIENCE_S)
    except psutil.TimeoutExpired:
        child.kill()
        raise
