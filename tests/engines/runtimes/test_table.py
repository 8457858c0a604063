"""An ensemble is run where its owner says, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetsift.engines.open import open_engine
from fleetsift.engines.runtimes.table import RUNTIMES, Runtime, open_on
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_identical
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble


def test_without_a_word_it_is_the_cpu(tmp_path: Path) -> None:
    path, frames = write_ensemble(tmp_path, [Drawn(0), Drawn(1)]), FrameBatch(draw_frames(2), (None,) * 2)
    engines = open_on(Runtime(threads=1), path), open_engine(path, threads=1)
    assert_identical(*(engine.score(frames) for engine in engines))
    for engine in engines:
        engine.close()


def test_a_name_that_is_none_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of cpu, cuda, cuda_tensorrt, tensorrt, got tpu; choose one"):
        open_on(Runtime("tpu"), write_ensemble(tmp_path, [Drawn()]))


def test_float16_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"runtime\.half: expected a GPU"):
        open_on(Runtime(half=True), write_ensemble(tmp_path, [Drawn()]))


@pytest.mark.parametrize("name", sorted(set(RUNTIMES) - {"cpu"}))
def test_a_device_that_is_not_here_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises((ConfigError, EnsembleError)) as caught:
        open_on(Runtime(name, device=99), write_ensemble(tmp_path, [Drawn()]))
    assert "\n" not in str(caught.value)
