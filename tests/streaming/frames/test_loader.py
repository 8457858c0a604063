"""Batches come out as they went in, each frame with its pixels or its problem, and never more than the bound ahead."""

from __future__ import annotations

import gc
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.status import Problem, Status
from fleetsift.streaming.frames.loader import FrameLoader
from fleetsift.streaming.frames.reader import FrameReader
from tests.s3 import FaultyProxy, S3Server
from tests.streaming.drawn_videos import HEIGHT, WIDTH, write_video
from tests.streaming.running import wait_for

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
    read = [[ref if not ref.uri or KINDS[ref.uri] else replace(ref, size=(48, 64)) for ref in batch] for batch in refs]
    assert [batch for batch, _ in loaded] == read
    for batch, frames in loaded:
        assert frames.pixels.shape == (len(batch), 12, 16, 3)
        for ref, pixels, problem in zip(batch, frames.pixels, frames.problems, strict=True):
            assert (problem and problem.status) == (KINDS[ref.uri] if ref.uri else Status.BAD_MESSAGE)
            np.testing.assert_array_equal(pixels, 0 if problem else expected)


def test_a_reference_comes_with_the_size_of_its_frame_as_it_lies_there(frames_root: Path) -> None:
    Image.new("RGB", (40, 30)).save(frames_root / "small.png")
    write_video(frames_root / "drive.mp4", [0, 40, 80])
    uris = ["good.jpg", "small.png", "drive.mp4#frame=1", "torn.jpg"]
    [(refs, frames)] = open_loader(frames_root).load(
        [[FrameRef(Position("t", 0, n), uri=uri) for n, uri in enumerate(uris)]]
    )
    assert [ref.size for ref in refs] == [(48, 64), (30, 40), (HEIGHT, WIDTH), None]
    assert frames.pixels.shape == (4, 12, 16, 3)


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
    """An object store that takes its time to answer is asked for many frames at once, by one decoder too."""
    ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1).overwrite(
        "good.jpg", (frames_root / "good.jpg").read_bytes()
    )
    with FaultyProxy(s3.port, answers_after=9).run() as proxy:
        for name, value in s3.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        spec = FramesSpec(roots=(bucket,), in_flight=12)
        loader = FrameLoader(FrameReader.open(spec), size=(12, 16), threads=1)
        batches = [[FrameRef(Position("t", 0, 8 * n + i), uri="good.jpg") for i in range(8)] for n in range(6)]
        loaded = list(loader.load(batches))
    assert [refs for refs, _ in loaded] == [[replace(ref, size=(48, 64)) for ref in refs] for refs in batches]
    assert not [problem for _, frames in loaded for problem in frames.problems if problem]
    assert 8 < proxy.most_at_once <= 12


def test_it_holds_no_more_than_its_bound_while_the_engine_is_slow(frames_root: Path) -> None:
    """Of 40 batches of 1.5 MB, three and the frames being decoded are in memory at once, however slow the engine."""
    batches = ([FrameRef(Position("t", 0, 8 * n + i), uri="good.jpg") for i in range(8)] for n in range(40))
    reader = FrameReader.open(FramesSpec(roots=(str(frames_root),)))
    loader = FrameLoader(reader, size=(256, 256), threads=2, ahead=2)
    batch_bytes = 8 * 256 * 256 * 3
    here = tracemalloc.Filter(inclusive=True, filename_pattern="*/streaming/frames/loader.py")
    held = []

    def held_bytes() -> int:
        found = tracemalloc.take_snapshot().filter_traces([here]).statistics("filename")
        return sum(statistic.size for statistic in found)

    tracemalloc.start()
    try:
        for number, _ in enumerate(loader.load(batches)):
            if number % 8 == 3:
                wait_for(lambda: held_bytes() > 2 * batch_bytes)
                time.sleep(0.1)  # more would come now
                held.append(held_bytes())
    finally:
        tracemalloc.stop()
    assert len(held) == 5
    assert max(held) < 4 * batch_bytes


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_a_frame_is_the_same_pixels_in_any_batch(frames_root: Path, batch: int) -> None:
    """Decoding at a fraction is a frame's own affair."""
    sizes = ((48, 64), (300, 200), (97, 130))
    rng = np.random.default_rng(1)
    for i, size in enumerate(sizes):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(frames_root / f"{i}.jpg")
    loader = open_loader(frames_root)
    refs = [FrameRef(Position("t", 0, n), uri=f"{n % 3}.jpg") for n in range(12)]
    loaded = loader.load([refs[i : i + batch] for i in range(0, len(refs), batch)])
    pixels = np.concatenate([frames.pixels for _, frames in loaded])
    for n in range(12):
        np.testing.assert_array_equal(pixels[n], loader.reader.read(f"{n % 3}.jpg", (12, 16)))


def test_nothing_of_a_batch_is_held_for_the_one_after_the_next(frames_root: Path) -> None:
    """What was handed on is the caller's alone."""
    refs = [[FrameRef(Position("t", 0, n), uri="good.jpg")] for n in range(6)]
    given = [weakref.ref(frames.pixels) for _, frames in open_loader(frames_root).load(refs)]
    gc.collect()
    assert [alive() for alive in given[:-1]] == [None] * 5
