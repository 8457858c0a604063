"""The benchmark of the engines at tiny sizes: its pieces run, its ways agree, its figures have the promised names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.eager import ModulesInTorch
from benchmarks.engines.__main__ import measure
from benchmarks.engines.plan import Plan
from benchmarks.engines.report import Report, as_markdown, as_text, write_files
from benchmarks.engines.shares import measure_shares
from benchmarks.engines.speeds import measure_camvid
from benchmarks.engines.turns import Time, Way, cpu_ms, speedup, take_turns, wait_until_idle
from benchmarks.naive import SessionsWithNumpy
from benchmarks.toy import ToyModule, build_network, draw_weights, write_toys
from fleetsift import FrameBatch, open_engine

SIZE = (32, 48)
TINY = Plan(
    seconds=0,
    turns=2,
    frames=2,
    toy_members=2,
    toy_size=SIZE,
    scaled_members=(1, 2),
    scaled_sizes=((32, 32),),
    camvid=None,
)


def test_everything_that_is_compared_says_the_same(tmp_path: Path) -> None:
    weights = [draw_weights(m) for m in range(3)]
    networks = [build_network(w, SIZE) for w in weights]
    with_softmax = [build_network(w, SIZE, softmax=True) for w in weights]
    frames = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    engine = open_engine(write_toys(tmp_path, 3, SIZE, "full"), threads=1)
    scores = engine.score(FrameBatch(frames, (None,)))
    engine.close()
    expected = [
        float(values[0])
        for statistic in (scores.entropy, scores.mutual_information)
        for values in (statistic.mean, statistic.max)
    ]
    for way in (
        SessionsWithNumpy(networks, "logits"),
        SessionsWithNumpy(with_softmax, "probabilities"),
        ModulesInTorch([ToyModule(w) for w in weights]),
    ):
        assert way.score(frames[0]) == pytest.approx(expected, abs=1e-5)
    assert expected[2] > 0.01  # the members disagree


@pytest.mark.slow
def test_a_tiny_run_has_figures_tables_and_reasons(tmp_path: Path) -> None:
    report = measure(TINY, tmp_path)
    assert report.figures.keys() >= {
        "speedup_vs_naive_toy_m8",
        "speedup_vs_numpy_softmax_toy_m8",
        "speedup_vs_torch_toy_m8",
        "reduction_share_toy_m8",
        "frames_per_s_toy_m8",
        "mib_a_member_engine",
        "reduction_share_toy_m8_full",
        "speedup_of_networks_alone_vs_naive_toy_m8",
        "cpu_ms_toy_m2_32x48",
    }
    assert all(np.isfinite(value) for value in report.figures.values())
    assert any("CamVid is left out" in note for note in report.notes)
    text = as_text(report)
    assert "torch eager" in text
    markdown = as_markdown(report, "a command", "a machine")
    assert all(f"`{name}`" in markdown for name in report.figures)


@pytest.mark.slow
def test_real_networks_add_the_promised_figures(tmp_path: Path, shared_data: Path) -> None:
    report = Report()
    plan = Plan(seconds=0, turns=2, frames=1, scaled_members=(), scaled_sizes=(), toy_size=SIZE, camvid=shared_data)
    measure_camvid(plan, tmp_path, report)
    measure_shares(plan, tmp_path, report)
    promised = {"speedup_vs_naive_camvid", "reduction_share_camvid", "frames_per_s_camvid"}
    assert report.figures.keys() >= promised


def test_ways_take_turns_and_the_first_turn_does_not_count() -> None:
    order: list[str] = []
    ways = {name: Way(lambda name=name: order.append(name), 2) for name in "ab"}  # type: ignore[misc]
    times = take_turns(ways, seconds=0, turns=3)
    assert order == ["a", "b"] * 4
    assert [len(taken) for taken in times.values()] == [3, 3]


def test_a_turn_waits_for_the_threads_of_the_one_before_it() -> None:
    used_s = iter([0.00, 0.02, 0.02, 0.04, 0.04, 0.0404, 9.0])  # before and after a look: busy, busy, idle
    wait_until_idle(used_s=lambda: next(used_s))
    assert list(used_s) == [9.0]


def test_a_speedup_is_the_median_of_the_turns_ratios() -> None:
    slow, fast = [Time(6, 6), Time(20, 20), Time(90, 90)], [Time(3, 3), Time(5, 5), Time(10, 10)]
    assert speedup({"slow": slow, "fast": fast}, "slow", "fast") == 4
    assert cpu_ms({"slow": slow}, "slow") == 20


def test_files_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    report = Report({"speedup_vs_naive_toy_m8": 20.0}, [("A case", [("way", "ms"), ("engine", "1")])])
    write_files(report, "a machine", "a command", tmp_path / "figures.json", tmp_path / "engines.md")
    assert json.loads((tmp_path / "figures.json").read_text()) == {"speedup_vs_naive_toy_m8": 20.0}
    tables = (tmp_path / "engines.md").read_text()
    assert all(words in tables for words in ("a machine", "    a command", "## A case", "| engine | 1 |"))
