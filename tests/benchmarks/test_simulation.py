"""A small simulated cluster: nothing is lost or doubled, shares stay even, and resuming never lists a long chain."""

from __future__ import annotations

import logging

import pytest

from benchmarks.simulation.plan import Plan
from benchmarks.simulation.simulate import simulate


def test_a_cluster_that_changes_all_the_time_keeps_the_promise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "fleetsift.store")
    plan = Plan(partitions=40, workers=8, minutes=12, change_every_s=15, zombies=0.5, flush_s=20)
    figures = simulate(plan)  # the oracle is in it
    assert figures["changes"] > 30
    assert figures["conflicts"] > 0, "no zombie ever met its successor"
    assert figures["busiest_worker_over_mean"] < 1.5
    assert figures["recovery_s_median"] < 3 * plan.begin_s
    assert figures["requests_a_resume"] < 10
    assert 1 <= figures["busiest_dealt_by_load"] < figures["busiest_dealt_by_count"]


def test_the_same_seed_gives_the_same_figures() -> None:
    plan = Plan(partitions=10, workers=3, minutes=3)
    assert simulate(plan) == simulate(plan)
