"""Scores ahead: while a batch is scored, in a thread of its own, the next are loaded and the rows of the last made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from fleetsift.engines.engine import Engine
from fleetsift.schemas.frames import FrameBatch, FrameRef
from fleetsift.schemas.scores import FrameScores


def score_ahead(
    engine: Engine, batches: Iterable[tuple[list[FrameRef], FrameBatch]], ahead: int = 1
) -> Iterator[tuple[list[FrameRef], FrameScores]]:
    """Yield each batch's references with its scores, in order; an empty batch waits for nothing and lets nothing wait.

    While one batch is scored `ahead` more are ready, so that a GPU never waits for Python; with 0 none is touched
    before the one before it has been taken. Raises what the engine raises, once what was scored before is handed on.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="score")  # one: an engine is asked by one thread at a time
    begun: deque[tuple[list[FrameRef], Future[FrameScores]]] = deque()
    try:
        for batch, frames in batches:
            begun.append((batch, thread.submit(engine.score, frames)))
            keep = ahead if batch else 0
            while len(begun) > keep:
                refs, scores = begun.popleft()
                yield refs, scores.result()
        while begun:
            refs, scores = begun.popleft()
            yield refs, scores.result()
    finally:
        thread.shutdown(cancel_futures=True)
