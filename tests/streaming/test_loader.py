"""Batches come out as they went in, each frame with its pixels or its problem, and never more than the bound ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.status import Problem, Status
from fleetsift.streaming.frames import FrameReader
from fleetsift.streaming.loader import FrameLoader
from tests.s3 import FaultyProxy, S3Server

BROKEN = Problem(Status.BAD_MESSAGE, "no json")
KINDS = {"good.jpg": None, "torn.jpg": Status.CORRUPT, "none.jpg": Status.MISSING, "/etc/passwd": Status.DENIED}


def open_loader(root: Path, ahead: int = 2) -> FrameLoader:
    return FrameLoader(FrameReader.open(FramesSpec(roots=(str(root),))), size=(12, 16), threads=3, ahead=ahead)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.sampled_from([*KINDS, None]), max_size=6), max_size=8), st.integers(0, 3))
def test_order_and_problems(frames_root: Path, batches: list[list[str | None]], ahead: int) -> None:
    numbered = iter(range(1000))
    refs = [
        [FrameRef(Position("t", 0, next(numbered)), uri=uri, problem=None if uri else BROKEN) for uri in batch]
        for batch in batches
    ]
    expected = open_loader(frames_root).reader.read("good.jpg", (12, 16))
    loaded = list(open_loader(frames_root, ahead).load(refs))
    assert [batch for batch, _ in loaded] == refs
    for batch, frames in loaded:
        assert frames.pixels.shape == (len(batch), 12, 16, 3)
        for ref, pixels, problem in zip(batch, frames.pixels, frames.problems, strict=True):
            assert (problem and problem.status) == (KINDS[ref.uri] if ref.uri else Status.BAD_MESSAGE)
            np.testing.assert_array_equal(pixels, 0 if problem else expected)


def test_it_reads_no_further_ahead_than_its_bound(frames_root: Path) -> None:
    asked = 0

    def batches() -> Iterator[list[FrameRef]]:
        nonlocal asked
        for n in range(10):
            asked += 1
            yield [FrameRef(Position("t", 0, n), uri="good.jpg")]

    for done, _ in enumerate(open_loader(frames_root, ahead=2).load(batches()), start=1):
        assert asked <= done + 2


def test_an_idle_source_holds_nothing_back(frames_root: Path) -> None:
    waiting = iter([[FrameRef(Position("t", 0, 0), uri="good.jpg")], []])
    loaded = open_loader(frames_root).load(waiting)
    assert len(next(loaded)[0]) == 1


def test_many_requests_are_in_flight_and_few_frames_decoded_at_once(
    frames_root: Path, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store that takes a tenth of a second to answer is asked for many frames at once, by one decoder too."""
    ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1).overwrite(
        "good.jpg", (frames_root / "good.jpg").read_bytes()
    )
    with FaultyProxy(s3.port, delay_s=0.1).run() as proxy:
        for name, value in s3.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        spec = FramesSpec(roots=(bucket,), in_flight=12)
        loader = FrameLoader(FrameReader.open(spec), size=(12, 16), threads=1)
        batches = [[FrameRef(Position("t", 0, 8 * n + i), uri="good.jpg") for i in range(8)] for n in range(6)]
        loaded = list(loader.load(batches))
    assert [refs for refs, _ in loaded] == batches
    assert not [problem for _, frames in loaded for problem in frames.problems if problem]
    assert 8 < proxy.most_at_once <= 12
