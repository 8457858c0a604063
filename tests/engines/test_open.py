"""An ensemble is run where its owner says, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetsift.engines.open import RUNTIMES, open_engine
from fleetsift.engines.proof import open_proven
from fleetsift.errors import ConfigError, EnsembleError, MissingExtra
from fleetsift.schemas.fleet import WorkersSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.reading import parse_yaml
from fleetsift.schemas.runtime import RuntimeSpec
from tests.engines.closeness import assert_close, assert_identical
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble


def test_without_a_word_it_is_the_cpu(tmp_path: Path) -> None:
    path, frames = write_ensemble(tmp_path, [Drawn(0), Drawn(1)]), FrameBatch(draw_frames(2), (None,) * 2)
    engines = open_engine(path, runtime=RuntimeSpec(name="cpu")), open_engine(path, threads=1)
    assert_identical(*(engine.score(frames) for engine in engines))
    for engine in engines:
        engine.close()


def test_what_can_run_it_is_what_may_be_named() -> None:
    assert [parse_yaml(f"name: {name}".encode(), RuntimeSpec, "here").name for name in RUNTIMES] == list(RUNTIMES)
    with pytest.raises(ConfigError, match=r"here name: expected one of .*cuda_tensorrt.* got tpu|here name: .*'tpu'"):
        parse_yaml(b"name: tpu", RuntimeSpec, "here")


def test_float16_on_the_cpu_gives_other_numbers_under_another_id(tmp_path: Path) -> None:
    path, frames = write_ensemble(tmp_path, [Drawn(0), Drawn(1)]), FrameBatch(draw_frames(2), (None,) * 2)
    whole, half = open_engine(path, threads=1), open_engine(path, threads=1, runtime=RuntimeSpec(half=True))
    assert half.ensemble_id == f"{whole.ensemble_id}-fp16"
    scores, expected = half.score(frames), whole.score(frames)
    assert (scores.entropy.mean != expected.entropy.mean).all()
    assert abs(scores.entropy.mean - expected.entropy.mean).max() < 5e-3
    with pytest.raises(AssertionError):
        assert_close(scores, expected)
    for engine in (whole, half):
        engine.close()


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="a GPU is here, and would be used")
@pytest.mark.parametrize("name", sorted(set(RUNTIMES) - {"cpu"}))
def test_a_device_that_is_not_here_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    runtime = parse_yaml(f"name: {name}".encode(), RuntimeSpec, "here")
    with pytest.raises((ConfigError, EnsembleError, MissingExtra)) as caught:
        open_engine(write_ensemble(tmp_path, [Drawn(0), Drawn(1)]), runtime=runtime)
    assert "\n" not in str(caught.value)


def test_a_gpu_has_to_be_reserved_before_it_is_used() -> None:
    with pytest.raises(ConfigError, match=r"gpus: expected a GPU or a share of one for runtime cuda, got 0"):
        parse_yaml(b"runtime: {name: cuda}", WorkersSpec, "here")
    assert parse_yaml(b"{gpus: 0.5, runtime: {name: cuda}}", WorkersSpec, "here").runtime.needs_gpu


def test_a_gpu_that_would_lie_idle_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gpus: expected 0 for runtime cpu, or runtime\.name cuda, .* got 0\.5"):
        parse_yaml(b"gpus: 0.5", WorkersSpec, "here")


def test_a_cuda_graph_needs_cuda() -> None:
    with pytest.raises(ConfigError, match="cuda_graph: expected runtime cuda for it, got tensorrt"):
        parse_yaml(b"{name: tensorrt, cuda_graph: true}", RuntimeSpec, "here")


def test_plans_are_for_what_builds_some() -> None:
    with pytest.raises(ConfigError, match=r"plans: expected runtime cuda_tensorrt or tensorrt, .* got cuda"):
        parse_yaml(b"{name: cuda, plans: there}", RuntimeSpec, "here")


@pytest.mark.parametrize("half", [False, True])
def test_an_engine_that_proves_its_scores_is_the_same_engine(tmp_path: Path, half: bool) -> None:
    path, frames = write_ensemble(tmp_path, [Drawn(0), Drawn(1)]), FrameBatch(draw_frames(2), (None,) * 2)
    runtime = RuntimeSpec(half=half)
    engines = open_proven(path, 1, runtime, 2), open_engine(path, 1, runtime=runtime)
    assert_identical(*(engine.score(frames) for engine in engines))
    for engine in engines:
        engine.close()


def test_an_engine_that_cannot_prove_its_scores_is_not_opened(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(0)])
    with pytest.raises(EnsembleError, match="mutual_information: expected members that disagree"):
        open_proven(path, 1, RuntimeSpec(), 2)
