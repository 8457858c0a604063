"""Rows to write: references with scores that can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fleetsift.engines.function import null_engine
from fleetsift.schemas.frames import FrameBatch, FrameRef, Position
from fleetsift.schemas.scores import FrameScores
from fleetsift.schemas.status import Problem
from fleetsift.store.chain import Namespace

ENGINE = null_engine(embedding_size=3)
NAMESPACE = Namespace("frames", "id-1", ENGINE.ensemble_id, ENGINE.classes)


def make_refs(offsets: Sequence[int], partition: int = 0) -> list[FrameRef]:
    return [
        FrameRef(
            Position("frames", partition, offset), f"f-{partition}-{offset}", f"s-{offset // 10}", f"/{offset}.jpg"
        )
        for offset in offsets
    ]


def make_scores(refs: Sequence[FrameRef], problems: dict[int, Problem] | None = None) -> FrameScores:
    wrong = problems or {}
    pixels = np.zeros((len(refs), *ENGINE.frame_size, 3), np.uint8)
    return ENGINE.score(FrameBatch(pixels, tuple(wrong.get(ref.position.offset) for ref in refs)))


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[], Path]:
    """A fresh folder at each call, for property tests that need one an example."""
    count = iter(range(1_000_000))
    return lambda: tmp_path / f"store-{next(count)}"
