"""Scores come in the order of their batches while others are loaded, an error after what was scored before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetsift.engines.function import FunctionEngine, constant_row
from fleetsift.engines.rows import FrameRow
from fleetsift.schemas.frames import FrameBatch, FrameRef, Position
from fleetsift.streaming.scoring import score_ahead

Loaded = tuple[list[FrameRef], FrameBatch]


def loaded(sizes: list[int]) -> Iterator[Loaded]:
    """Batches of frames that are numbered, in their position and in every pixel."""
    numbers = iter(range(sum(sizes)))
    for size in sizes:
        refs = [FrameRef(Position("t", 0, next(numbers))) for _ in range(size)]
        pixels = np.zeros((size, 4, 6, 3), np.uint8)
        for ref, frame in zip(refs, pixels, strict=True):
            frame[:] = ref.position.offset
        yield refs, FrameBatch(pixels, (None,) * size)


def number_of(pixels: NDArray[np.uint8]) -> FrameRow:
    return constant_row(float(pixels[0, 0, 0]))


def scoring_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("score_")]


@given(st.lists(st.integers(0, 5), max_size=12))
def test_every_frame_gets_its_own_scores_in_order(sizes: list[int]) -> None:
    found = list(score_ahead(FunctionEngine(number_of), loaded(sizes)))
    assert [len(refs) for refs, _ in found] == sizes
    offsets = [ref.position.offset for refs, _ in found for ref in refs]
    assert offsets == list(range(sum(sizes)))
    assert [value for _, scores in found for value in scores.entropy.mean] == offsets
    assert scoring_threads() == []


def test_the_next_batch_is_scored_while_the_rows_of_the_last_are_made() -> None:
    begun = [Event() for _ in range(6)]

    def score(pixels: NDArray[np.uint8]) -> FrameRow:
        begun[pixels[0, 0, 0]].set()
        return number_of(pixels)

    for n, _ in enumerate(score_ahead(FunctionEngine(score), loaded([1] * 6))):
        assert all(event.wait(30) for event in begun[: n + 2])


@pytest.mark.parametrize("ahead", [0, 1])
def test_no_more_batches_are_touched_than_are_wanted_ahead(ahead: int) -> None:
    asked = 0

    def batches() -> Iterator[Loaded]:
        nonlocal asked
        for batch in loaded([1] * 20):
            asked += 1
            yield batch

    for done, _ in enumerate(score_ahead(FunctionEngine(number_of), batches(), ahead), start=1):
        assert asked <= done + ahead


def test_an_empty_batch_holds_nothing_back() -> None:
    scored = score_ahead(FunctionEngine(number_of), iter(list(loaded([1, 0]))))
    assert [len(next(scored)[0]), len(next(scored)[0])] == [1, 0]


def test_an_error_comes_after_what_was_scored_before_it_and_ends_the_thread() -> None:
    def score(pixels: NDArray[np.uint8]) -> FrameRow:
        if pixels[0, 0, 0] == 2:
            raise RuntimeError("the device is gone")
        return number_of(pixels)

    scored = score_ahead(FunctionEngine(score), loaded([1] * 9))
    assert [next(scored)[1].entropy.mean[0] for _ in range(2)] == [0, 1]
    with pytest.raises(RuntimeError, match="the device is gone"):
        next(scored)
    assert scoring_threads() == []


def test_who_takes_no_more_leaves_no_thread_behind() -> None:
    scored = score_ahead(FunctionEngine(number_of), loaded([1] * 9))
    next(scored)
    scored.close()  # type: ignore[attr-defined]
    assert scoring_threads() == []
