"""An engine that takes batches of one size, over a program that is a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleetsift.engines.graphs.fuse import EMBEDDING
from fleetsift.engines.graphs.reduction import (
    ARGMAX_MAP,
    BY_CLASS,
    ENTROPY_MAP,
    ENTROPY_MAPS,
    INFORMATION_MAP,
    INFORMATION_MAPS,
    MEMBER_ENTROPIES,
    REGIONS,
    STATISTICS,
)
from fleetsift.engines.runtimes.batched import BatchedEngine
from fleetsift.errors import FrameError
from fleetsift.schemas.ensemble import EnsembleSpec, InputSpec, MemberSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.status import Problem, Status

SPEC = EnsembleSpec(
    name="function",
    classes=("road", "car"),
    members=(MemberSpec(file="none.onnx", sha256="0" * 64),) * 2,
    input=InputSpec(height=4, width=6),
)
Frames = np.ndarray[Any, np.dtype[np.uint8]]


def by_brightness(frames: Frames) -> dict[str, Any]:
    """Every score of a frame is its first byte; a white frame breaks the second member."""
    assert frames.flags.c_contiguous
    value = frames[:, 0, 0, 0].astype(np.float32)
    members = np.stack([value, np.where(value == 255, np.nan, value)], axis=1)
    shapes = {STATISTICS: (6, 3), BY_CLASS: (4, 2), REGIONS: (2, 12), EMBEDDING: (5,)}
    return {
        name: np.broadcast_to(value.reshape(-1, *(1,) * len(shape)), (len(frames), *shape))
        for name, shape in shapes.items()
    } | {MEMBER_ENTROPIES: members}


def maps_by_brightness(frames: Frames) -> dict[str, Any]:
    answers = by_brightness(frames)
    channels = {ENTROPY_MAP: 1, INFORMATION_MAP: 1, ENTROPY_MAPS: 2, INFORMATION_MAPS: 2, ARGMAX_MAP: 1}
    return {name: np.full((1, count, 4, 6), frames[0, 0, 0, 0], np.float32) for name, count in channels.items()} | {
        MEMBER_ENTROPIES: answers[MEMBER_ENTROPIES]
    }


class Counting:
    """A program that remembers how many frames it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, frames: Frames) -> dict[str, Any]:
        self.batches.append(len(frames))
        return by_brightness(frames)


def frames_of(*values: int) -> Frames:
    return np.stack([np.full((4, 6, 3), value, np.uint8) for value in values])


def engine(program: Any = by_brightness, batch: int = 2) -> BatchedEngine:
    return BatchedEngine("function-1", SPEC, batch, program, lambda: maps_by_brightness)


def test_batches_have_one_size_and_what_fills_them_up_is_left_out() -> None:
    program = Counting()
    scores = engine(program, batch=3).score(FrameBatch(frames_of(1, 2, 3, 4), (None,) * 4))
    assert program.batches == [3, 3, 3]  # the first one to open it
    np.testing.assert_array_equal(scores.entropy.mean, [1, 2, 3, 4])
    np.testing.assert_array_equal(scores.embedding[:, 0], [1, 2, 3, 4])


def test_frames_with_a_problem_are_not_run() -> None:
    program, problem = Counting(), Problem(Status.CORRUPT, "cut off")
    scores = engine(program).score(FrameBatch(frames_of(1, 2, 3), (None, problem, None)))
    assert program.batches == [2, 2]
    assert scores.problems == (None, problem, None)
    np.testing.assert_array_equal(scores.entropy.mean, [1, np.nan, 3])


def test_a_broken_answer_is_a_problem_of_its_frame() -> None:
    scores = engine().score(FrameBatch(frames_of(1, 255, 3), (None,) * 3))
    assert [problem and problem.status for problem in scores.problems] == [None, Status.NON_FINITE, None]
    with pytest.raises(FrameError, match=r"members\[1\] \(none\.onnx\)"):
        engine().maps(frames_of(255)[0])


def test_maps() -> None:
    maps = engine().maps(frames_of(1)[0])
    assert maps.entropy.shape == maps.mutual_information.shape == maps.argmax.shape == (4, 6)
    assert maps.entropy_by_class.shape == maps.mutual_information_by_class.shape == (2, 4, 6)
    assert maps.argmax.dtype == np.uint16


def test_what_it_says_of_itself() -> None:
    found = engine()
    assert (found.ensemble_id, found.members, found.classes) == ("function-1", 2, ("road", "car"))
    assert found.score(FrameBatch(frames_of(1)[:0], ())).embedding.shape == (0, 5)
    with pytest.raises(ValueError, match=r"expected \(height, width, 3\) \(4, 6, 3\)"):
        found.score(FrameBatch(np.zeros((1, 4, 7, 3), np.uint8), (None,)))
