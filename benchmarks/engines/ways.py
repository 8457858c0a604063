"""The ways that are compared: the engine, its networks alone, and what people write."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.engines.turns import Way
from benchmarks.naive import SessionsWithNumpy
from fleetsift import Engine, FrameBatch
from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.graphs.fuse import FRAMES, fuse

Frames = NDArray[np.uint8]  # (N, H, W, 3)

_AT_A_TIME = 2  # frames that a way which takes one by one is timed on: the second finds the threads awake


def score_batch(engine: Engine, frames: Frames) -> Way:
    """The engine on all frames as one batch."""
    batch = FrameBatch(frames, (None,) * len(frames))
    return Way(lambda: engine.score(batch), len(frames))


def one_by_one(score: Callable[[Any], object], frames: Frames) -> Way:
    """A way that takes one frame at a time."""
    some = frames[:_AT_A_TIME]
    return Way(lambda: [score(frame) for frame in some], len(some))


def networks_alone(ensemble: Ensemble, frames: Frames, threads: int | None = None) -> Way:
    """All members as one graph, frames to logits and nothing after: what the engine cannot be faster than.

    A frame is one thread's work, as in the engine, with as many at once as there are threads.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        fuse(ensemble).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    if threads == 1:
        return Way(lambda: [session.run(None, {FRAMES: frame[None]}) for frame in frames], len(frames))
    pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
    return Way(lambda: list(pool.map(lambda frame: session.run(None, {FRAMES: frame[None]}), frames)), len(frames))


def sessions_with_kernel(networks: Sequence[onnx.ModelProto], answer: str) -> Callable[[Any], object]:
    """What people write, with the compiled reduction in the place of NumPy."""
    members = SessionsWithNumpy(networks, answer)
    return lambda frame: reduce_logits(np.ascontiguousarray(members.logits(frame)))
