"""The soak, short: some seeds of each kind. `make soak` plays thousands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetsift.schemas.fleet import FleetSpec
from tests.soak.fates import Fate, befall
from tests.soak.processes import Crowd
from tests.soak.schedules import run_seed


def test_schedules_of_everything_that_may_happen(tmp_path: Path) -> None:
    befell: Counter[str] = Counter()
    rows = 0
    for seed in range(12):
        counted, of_seed = run_seed(seed, lambda seed: tmp_path / str(seed))
        rows += counted
        befell.update(of_seed)
    assert rows > 500
    assert min(befell[fate] for fate in (Fate.DIES, Fate.IS_REFUSED, Fate.IS_STOPPED)) >= 5


def test_a_death_is_before_the_step_and_nothing_comes_after_it(tmp_path: Path) -> None:
    """What the soak rests on: nobody who died writes on, not even in a `finally`."""
    with befall(tmp_path, Fate.DIES, 1) as befallen:
        try:
            (tmp_path / "first").write_text("1")
            (tmp_path / "second").write_text("2")
        finally:
            (tmp_path / "first").unlink()
    assert befallen()
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


@pytest.mark.slow
def test_writers_that_are_killed_at_every_step_are_gone_on_from(tmp_path: Path) -> None:
    """kill -9 of real processes, 200 seeds: rows 1 and 2."""
    command = [sys.executable, "-m", "tests.soak.killed", str(tmp_path), "200"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=1100, check=False)
    assert told.returncode == 0, told.stderr
    seeds, kills = told.stdout.split(" seeds, ")
    assert int(seeds) == 200
    assert int(kills.split()[0]) >= 200
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_a_crowd_of_workers_comes_and_goes(new_fleet: Callable[..., FleetSpec]) -> None:
    """Rows 3, 5, 6: real processes on a broker, stopped, going on as zombies, killed, of any sizes."""
    crowd = Crowd(new_fleet(partitions=3), seed=1)
    assert crowd.run(seconds=8) == len(crowd.acknowledged)
    assert crowd.events["joined"] >= 3
