"""The engines without a network keep the promises of a real one."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetsift.engines.engine import Engine
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.function import FunctionEngine, constant_row, null_engine
from fleetsift.engines.rows import FrameRow
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.status import Problem, Status
from tests.engines.closeness import numbers
from tests.engines.drawn_logits import random_logits
from tests.engines.drawn_networks import draw_frames

MISSING = Problem(Status.MISSING, "no such file")


def test_a_function_answers_for_every_frame_without_a_problem() -> None:
    seen = []

    def brightness(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> FrameRow:
        seen.append(pixels)
        return constant_row(float(pixels.mean()) / 255)

    engine: Engine = FunctionEngine(brightness)
    frames = draw_frames(3, engine.frame_size)
    scores = engine.score(FrameBatch(frames, (None, MISSING, None)))
    assert scores.problems == (None, MISSING, None)
    np.testing.assert_allclose(scores.entropy.mean, [frames[0].mean() / 255, np.nan, frames[2].mean() / 255], rtol=1e-6)
    assert len(seen) == 2


def test_a_function_may_find_a_problem_or_use_the_reference() -> None:
    broken = Problem(Status.NON_FINITE, "as told")
    engine = FunctionEngine(lambda pixels: broken if pixels.min() == 255 else score_frame(LOGITS, GRID, 0.1))
    white = np.full((1, *engine.frame_size, 3), 255, np.uint8)
    frames = np.concatenate([white, draw_frames(1, engine.frame_size)])
    assert engine.score(FrameBatch(frames, (None, None))).problems == (broken, None)


LOGITS = random_logits(2, 2, 6, 8)
GRID = FunctionEngine(lambda _: constant_row()).regions


def test_the_null_engine_says_the_same_of_every_frame() -> None:
    engine: Engine = null_engine((6, 8), ("road", "car", "sky"), embedding_size=4)
    scores = engine.score(FrameBatch(draw_frames(4, (6, 8)), (None, None, MISSING, None)))
    for values in numbers(scores).values():
        assert np.isfinite(values[[0, 1, 3]]).all()
        assert np.isnan(values[2]).all()
    np.testing.assert_allclose(scores.by_class.entropy[0].sum(), scores.entropy.mean[0])
    np.testing.assert_allclose(scores.by_class.mutual_information[0].sum(), scores.mutual_information.mean[0])
    assert scores.embedding.shape == (4, 4)
    maps = engine.maps(draw_frames(1, (6, 8))[0])
    assert maps.mutual_information_by_class.shape == (3, 6, 8)
    engine.close()
