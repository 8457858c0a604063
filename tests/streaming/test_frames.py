"""From a URI to pixels: only below the roots, only whole images, within the caps; every failure has a status."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fleetsift.errors import ConfigError, FrameError
from fleetsift.schemas.fleet import FramesSpec
from fleetsift.schemas.status import Status
from fleetsift.streaming.frames import FrameReader, decode

GRADIENT = np.linspace(0, 255, 48 * 64 * 3).astype(np.uint8).reshape(48, 64, 3)
JPEG = simplejpeg.encode_jpeg(GRADIENT, quality=95)
MOST = 1_000_000


def png_of(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


PNG = png_of(Image.fromarray(GRADIENT))


def status_of(data: bytes) -> Status:
    with pytest.raises(FrameError) as caught:
        decode(data, MOST)
    assert caught.value.reason
    return caught.value.status


@pytest.fixture
def reader(frames_root: Path) -> FrameReader:
    return FrameReader.open(FramesSpec(roots=(str(frames_root),), most_bytes=100_000, most_pixels=MOST))


def denied(reader: FrameReader, uri: str) -> Status:
    with pytest.raises(FrameError) as caught:
        reader.read(uri)
    return caught.value.status


def test_a_png_is_decoded_exactly_and_a_jpeg_nearly() -> None:
    np.testing.assert_array_equal(decode(PNG, MOST), GRADIENT)
    assert np.abs(decode(JPEG, MOST).astype(int) - GRADIENT).mean() < 3


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
@pytest.mark.parametrize("size", [(24, 32), (12, 16), (30, 50), (96, 128), (48, 64)])
def test_frames_come_at_the_size_asked_for(data: bytes, size: tuple[int, int]) -> None:
    pixels = decode(data, MOST, size)
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint8
    expected = np.asarray(Image.fromarray(GRADIENT).resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(pixels.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16"])
def test_every_kind_of_png_becomes_rgb(mode: str) -> None:
    grey = Image.fromarray(GRADIENT).convert("L")
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) << 8) if mode == "I;16" else grey.convert(mode)
    pixels = decode(png_of(image), MOST)
    assert pixels.shape == (48, 64, 3)
    if mode != "1":
        assert np.abs(pixels[:, :, 0].astype(int) - np.asarray(grey)).mean() < 1


@given(st.integers(0, len(JPEG) - 1))
def test_half_a_jpeg_is_corrupt(length: int) -> None:
    assert status_of(JPEG[:length]) is Status.CORRUPT


@given(st.integers(0, len(PNG) - 1))
def test_half_a_png_is_corrupt(length: int) -> None:
    assert status_of(PNG[:length]) is Status.CORRUPT


@given(st.sampled_from([JPEG, PNG]), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=30))
def test_damaged_images_never_raise_anything_else(data: bytes, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for at, value in edits:
        damaged[at % len(data)] = value
    with suppress(FrameError):
        assert decode(bytes(damaged), MOST).shape[2] == 3


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff", b"BM" + bytes(100)])
def test_what_is_no_jpeg_or_png_is_corrupt(data: bytes) -> None:
    assert status_of(data) is Status.CORRUPT


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    assert status_of(b"\x89PNG\r\n\x1a\n" + chunk + PNG[33:]) is Status.TOO_LARGE
    huge = bytearray(JPEG)
    at = huge.index(b"\xff\xc0")
    huge[at + 5 : at + 9] = struct.pack(">HH", 50_000, 50_000)
    assert status_of(bytes(huge)) is Status.TOO_LARGE


def test_a_large_file_is_refused_before_it_is_read(reader: FrameReader, frames_root: Path) -> None:
    with (frames_root / "sparse.jpg").open("wb") as file:
        file.truncate(10**10)
    assert denied(reader, "sparse.jpg") is Status.TOO_LARGE


def test_uris_below_a_root_are_read(reader: FrameReader, frames_root: Path) -> None:
    (frames_root / "a b%20").mkdir()
    (frames_root / "a b%20" / "ü.jpg").write_bytes(JPEG)
    path = frames_root / "a b%20" / "ü.jpg"
    expected = reader.read("a b%20/ü.jpg")
    for uri in (str(path), path.as_uri(), f"file://localhost{path.as_uri().removeprefix('file://')}"):
        np.testing.assert_array_equal(reader.read(uri), expected)


def test_nothing_outside_the_roots_is_opened(reader: FrameReader, frames_root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(JPEG)
    (frames_root / "link.jpg").symlink_to(outside)
    (frames_root / "up").symlink_to(tmp_path)
    (tmp_path / "frames-evil").mkdir()
    (tmp_path / "frames-evil" / "x.jpg").write_bytes(JPEG)
    for uri in (
        str(outside),
        "../secret.jpg",
        f"{frames_root}/../secret.jpg",
        outside.as_uri(),
        f"file://{frames_root}/%2e%2e/secret.jpg",
        "link.jpg",
        "up/secret.jpg",
        f"{tmp_path}/frames-evil/x.jpg",
        "/etc/passwd",
        "/proc/self/environ",
        "http://127.0.0.1:1/x.jpg",
        "https://127.0.0.1:1/x.jpg",
        "s3://bucket/x.jpg",
        "file://example.org/x.jpg",
        "//example.org/x.jpg",
        "a\0b.jpg",
    ):
        assert denied(reader, uri) is Status.DENIED, uri


def test_what_is_not_there_is_missing(reader: FrameReader, frames_root: Path) -> None:
    os.mkfifo(frames_root / "pipe.jpg")
    (frames_root / "folder.jpg").mkdir()
    for uri in ("nothing.jpg", "pipe.jpg", "folder.jpg", "good.jpg/x", "x" * 300 + ".jpg"):
        assert denied(reader, uri) is Status.MISSING, uri


def test_roots_must_be_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"frames\.roots: expected folders"):
        FrameReader.open(FramesSpec(roots=(str(tmp_path / "no"),)))
