"""Frames of videos: the one that is shown at a time, the same one whatever was asked before; damage has a status."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import FrameError
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.schemas.status import Status
from fleetsift.streaming.frames.loader import FrameLoader
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.frames.videos import moment_of
from fleetsift.streaming.manifests.messages import read_references
from fleetsift.streaming.manifests.open import open_rows
from fleetsift.streaming.manifests.rows import EVERYTHING
from fleetsift.streaming.manifests.topic import open_manifest
from tests.streaming.drawn_videos import HEIGHT, WIDTH, number_of, read_in_sequence, write_video

EVEN = range(0, 3600, 40)
SIZE = (32, 48)
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "b.mp4": ("libx264", {"bf": "3", "preset": "fast"}),
    "open_gop.mkv": ("libx264", {"bf": "3", "x264-params": "open-gop=1:b-pyramid=normal"}),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=none:open-gop=1"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "plain.avi": ("mpeg4", {"qscale": "2"}),
    "still.mov": ("mjpeg", {"qscale": "2", "strict": "unofficial"}),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, (codec, options) in KINDS.items():
        write_video(folder / name, EVEN, codec, options)
    rng = random.Random(3)
    write_video(folder / "variable.mp4", np.cumsum([0, *(rng.choice((10, 33, 40, 250)) for _ in range(89))]).tolist())
    return folder


def open_reader(folder: Path, **fields: int) -> FrameReader:
    return FrameReader.open(msgspec.structs.replace(FramesSpec(roots=(str(folder),)), **fields))


def refused(read: Callable[[], object]) -> FrameError:
    with pytest.raises(FrameError) as caught:
        read()
    assert caught.value.reason
    return caught.value


@pytest.mark.parametrize("name", KINDS)
def test_the_same_frame_whatever_the_order_of_asking(videos: Path, name: str) -> None:
    expected = read_in_sequence(videos / name, SIZE)
    assert [number_of(pixels) for pixels in expected] == list(range(len(EVEN)))
    reader = open_reader(videos)
    order = [*range(90), *random.Random(0).sample(range(90), 40), 0, 89]
    for n in order:
        np.testing.assert_array_equal(reader.read(f"{name}#frame={n}", SIZE), expected[n])
    for n in random.Random(1).sample(range(90), 20):
        np.testing.assert_array_equal(reader.read(f"{name}#t={n * 0.04:.2f}", SIZE), expected[n])
    fresh = open_reader(videos)
    np.testing.assert_array_equal(fresh.read(f"{name}#t=3.2", SIZE), expected[80])
    assert refused(lambda: reader.read(f"{name}#frame=90")).status is Status.MISSING
    assert refused(lambda: reader.read(f"{name}#t=3600")).status is Status.MISSING


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_time_names_the_frame_that_is_shown_then(videos: Path, data: st.DataObject) -> None:
    """Of a variable frame rate: between the times of two frames, the first of them."""
    rng = random.Random(3)
    times = np.cumsum([0, *(rng.choice((10, 33, 40, 250)) for _ in range(89))]).tolist()
    reader = open_reader(videos)
    for n in data.draw(st.lists(st.integers(0, 88), max_size=4)):
        at_ms = data.draw(st.integers(times[n], times[n + 1] - 2))
        assert number_of(reader.read(f"variable.mp4#t={at_ms / 1000:.3f}")) == n


def test_times_may_be_cut_to_milliseconds(tmp_path: Path) -> None:
    """A third of a second is written 0.333."""
    write_video(tmp_path / "a.mp4", [0, 34, 67, 100])
    assert number_of(open_reader(tmp_path).read("a.mp4#t=0.033")) == 1


def test_what_names_a_moment() -> None:
    for uri in (
        "a.mp4",
        "a.mp4#",
        "a.mp4#t=",
        "a.mp4#t=-1",
        "a.mp4#t=1e9",
        "a.mp4#frame=1.5",
        "#t=1",
        "a#t=1,2",
        "a#x=1",
    ):
        assert moment_of(uri) is None, uri
    found = moment_of("s3://b/a#1.mp4#frame=372")
    assert found is not None
    assert (found.video, found.frame, found.t_s) == ("s3://b/a#1.mp4", 372, None)


def test_damaged_videos_are_error_rows(videos: Path, tmp_path: Path) -> None:
    whole = (videos / "b.mp4").read_bytes()
    (tmp_path / "none.mp4").write_bytes(b"")
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])  # its table of contents stood at the end
    (tmp_path / "text.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n")
    mkv = (videos / "open_gop.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(mkv[: len(mkv) * 2 // 3])
    reader = open_reader(tmp_path)
    for name in ("none.mp4", "half.mp4", "text.mp4"):
        for moment in ("#t=0", "#frame=3", "#t=1.5"):
            assert refused(partial(reader.read, name + moment)).status is Status.CORRUPT, name + moment
    assert number_of(reader.read("cut.mkv#t=0.4")) == 10
    assert refused(lambda: reader.read("cut.mkv#t=3.5")).status is Status.CORRUPT
    assert number_of(reader.read("cut.mkv#t=0.4")) == 10
    assert refused(lambda: reader.read("gone.mp4#t=0")).status is Status.MISSING
    assert refused(lambda: reader.read("/etc/passwd#t=0")).status is Status.DENIED
    assert refused(lambda: reader.read("http://127.0.0.1:1/a.mp4#t=0")).status is Status.DENIED


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=40), st.data())
def test_damage_is_a_status_and_nothing_else(
    videos: Path, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray((videos / "b.mp4").read_bytes())
    for at, value in edits:
        damaged[at % len(damaged)] = value
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.mp4").write_bytes(damaged)
    reader = open_reader(folder, most_pixels=1_000_000)
    for n in data.draw(st.lists(st.integers(0, 89), min_size=1, max_size=5)):
        with suppress(FrameError):
            assert reader.read(f"a.mp4#frame={n}", SIZE).shape == (*SIZE, 3)


def test_caps_hold(videos: Path) -> None:
    assert refused(lambda: open_reader(videos, most_video_bytes=1000).read("b.mp4#t=0")).status is Status.TOO_LARGE
    assert refused(lambda: open_reader(videos, most_pixels=6143).read("b.mp4#t=0")).status is Status.TOO_LARGE
    for most in (6144, 2**40):
        assert open_reader(videos, most_pixels=most).read("b.mp4#t=0").shape == (64, 96, 3)


def test_many_threads_decode_a_video_in_sequence(videos: Path) -> None:
    """Batches of two videos and an image in turn: in order, whole, and no frame decoded twice on the way."""
    refs = [
        FrameRef(Position("t", 0, 2 * n + k), uri=f"{v}#frame={n}")
        for n in range(60)
        for k, v in enumerate(("b.mp4", "vp9.webm"))
    ]
    reader = open_reader(videos)
    loader = FrameLoader(reader, size=SIZE, threads=4)
    batches = [refs[i : i + 8] for i in range(0, len(refs), 8)]
    loaded = list(loader.load(batches))
    assert [batch for batch, _ in loaded] == [[replace(ref, size=(HEIGHT, WIDTH)) for ref in refs] for refs in batches]
    assert [number_of(pixels) for _, frames in loaded for pixels in frames.pixels] == [
        n for n in range(60) for _ in "bv"
    ]
    assert not [problem for _, frames in loaded for problem in frames.problems if problem]
    assert set(reader.videos.seeks().values()) == {1}


def test_videos_in_a_bucket(videos: Path, bucket: str) -> None:
    objects = ObjectPrefix.open(f"{bucket}/drives", "tests", timeout_s=10, retries=1)
    for name in ("b.mp4", "vp9.webm"):
        objects.overwrite(f"one/{name}", (videos / name).read_bytes())
    reader = FrameReader.open(FramesSpec(roots=(f"{bucket}/drives",)))
    refs = list(open_rows(ManifestSpec(path=f"{bucket}/drives", every_s=0.4)).read(EVERYTHING, "t", 0))
    assert [ref.frame_id for ref in refs[:3]] == ["one/b#t=0", "one/b#t=0.4", "one/b#t=0.8"]
    assert [number_of(reader.read(str(ref.uri))) for ref in refs] == [*range(0, 90, 10)] * 2
    assert refused(lambda: reader.read("one/none.mp4#t=0")).status is Status.MISSING


def test_a_folder_of_videos_is_a_manifest_and_can_be_published(videos: Path, tmp_path: Path) -> None:
    for name in ("b.mp4", "variable.mp4"):
        (tmp_path / name).write_bytes((videos / name).read_bytes())
    (tmp_path / "torn.mp4").write_bytes(b"torn")
    messages = list(read_references(tmp_path, fps=2))
    assert [(m.frame_id, m.session_id) for m in messages[:3]] == [("b#t=0", "b"), ("b#t=0.5", "b"), ("b#t=1", "b")]
    assert [m.metadata["video_s"] for m in messages if m.session_id == "b"] == [0.5 * n for n in range(8)]
    assert [m.uri for m in messages if m.session_id == "torn"] == [f"{tmp_path}/torn.mp4#t=0"]
    topic = open_manifest(ManifestSpec(path=f"{tmp_path}/*.mp4", fps=2, rows_per_part=10))
    rows = open_rows(topic.spec)
    refs = [ref for p, part in enumerate(topic.manifest.parts) for ref in rows.read(part, "t", p)]
    assert [ref.uri for ref in refs] == [message.uri for message in messages]
    reader = open_reader(tmp_path)
    assert refused(lambda: reader.read(f"{tmp_path}/torn.mp4#t=0")).status is Status.CORRUPT
    assert [number_of(reader.read(m.uri)) for m in messages if m.session_id == "b"] == [
        min(89, int(12.5 * n)) for n in range(8)
    ]
