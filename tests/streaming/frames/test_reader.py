"""From a URI to pixels: only below the roots, only whole images, within the caps; every failure has a status."""

from __future__ import annotations

import io
import os
import socket
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
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.fleet import FramesSpec, ImageFormat
from fleetsift.schemas.status import Status
from fleetsift.streaming.frames.images import decode, decode_into
from fleetsift.streaming.frames.reader import FrameReader
from tests.s3 import Fault, FaultyProxy, S3Server, free_port

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
    batch = np.full((2, *size, 3), 7, np.uint8)
    decode_into(batch[1], data, MOST, ("jpeg", "png"))
    np.testing.assert_array_equal(batch[1], pixels)
    assert (batch[0] == 7).all()


@pytest.mark.parametrize("eighths", range(1, 9))
def test_a_jpeg_is_decoded_at_a_fraction_where_no_more_is_wanted(eighths: int) -> None:
    """The pixels are those of a scaled inverse DCT, which no full decoding followed by resizing gives."""
    size = (48 * eighths // 8, 64 * eighths // 8)
    scaled = simplejpeg.decode_jpeg(JPEG, "RGB", min_height=size[0], min_width=size[1])
    assert scaled.shape == (*size, 3)
    np.testing.assert_array_equal(decode(JPEG, MOST, size), scaled)


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


def test_no_connection_is_made_to_what_is_refused(reader: FrameReader) -> None:
    """Row 26: http, https, link-local addresses; somebody listens here, and nobody comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        for uri in (f"http://{host}/x.jpg", f"https://{host}/x.jpg", f"s3://{host}/x.jpg", f"file://{host}/x.jpg"):
            assert denied(reader, uri) is Status.DENIED
        assert denied(reader, "http://169.254.169.254/latest/meta-data") is Status.DENIED
        server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            server.accept()


def remote_reader(*roots: str, timeout_s: float = 5.0, retries: int = 2) -> FrameReader:
    return FrameReader.open(FramesSpec(roots=roots, most_bytes=100_000, timeout_s=timeout_s, retries=retries))


@pytest.fixture
def drive(bucket: str) -> str:
    """A prefix of a bucket with a frame in it, and a frame beside it."""
    objects = ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1)
    objects.overwrite("drives/a b/ü%20.jpg", JPEG)
    objects.overwrite("drives/large.jpg", JPEG + bytes(200_000))
    objects.overwrite("secret/x.jpg", JPEG)
    objects.overwrite("drives-secret/x.jpg", JPEG)
    return f"{bucket}/drives"


def test_objects_below_a_prefix_are_read(drive: str, frames_root: Path) -> None:
    expected = decode(JPEG, MOST)
    for uri in (f"{drive}/a b/ü%20.jpg", "a b/ü%20.jpg"):
        np.testing.assert_array_equal(remote_reader(drive).read(uri), expected)
    both = remote_reader(str(frames_root), f"{drive}/")
    np.testing.assert_array_equal(both.read(f"{drive}/a b/ü%20.jpg"), expected)
    assert both.read("good.jpg").shape == both.read(str(frames_root / "good.jpg")).shape == (48, 64, 3)


def test_objects_outside_the_prefix_are_never_asked_for(
    drive: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = drive.removesuffix("/drives")
    with FaultyProxy(s3.port).run() as proxy:
        for name, value in s3.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        reader = remote_reader(drive)
        for uri in (
            f"{bucket}/secret/x.jpg",
            f"{bucket}/drives-secret/x.jpg",
            f"{drive}/../secret/x.jpg",
            "../secret/x.jpg",
            f"{drive}//x.jpg",
            f"{drive}/",
            drive,
            f"{drive}/x.jpg?X-Amz-Signature=abc",
            f"s3://key:secret@{drive.removeprefix('s3://')}/x.jpg",
            drive.replace("s3://", "gs://") + "/x.jpg",
            "s3://another-bucket/drives/x.jpg",
            "/etc/passwd",
            "file:///etc/passwd",
            "http://127.0.0.1:1/x.jpg",
        ):
            assert denied(reader, uri) is Status.DENIED, uri
        assert proxy.asked == []


@pytest.mark.slow
def test_every_failure_of_an_object_store_has_a_status(
    drive: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 27: missing, too large, forbidden, broken, silent, gone; asked so often and no more."""
    faults: list[Fault] = []
    with FaultyProxy(s3.port, lambda *_: faults.pop(0) if faults else Fault.NONE).run() as proxy:
        for name, value in s3.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        patient, impatient = remote_reader(drive, timeout_s=60), remote_reader(drive, timeout_s=1.5)
        assert denied(patient, "nothing.jpg") is Status.MISSING
        assert denied(patient, "large.jpg") is Status.TOO_LARGE
        for fault in (Fault.ERROR_500, Fault.ERROR_503, Fault.LOST_ANSWER, Fault.SILENCE):
            reader = impatient if fault is Fault.SILENCE else patient
            proxy.asked.clear()
            faults[:] = [fault] * 2
            assert reader.read("a b/ü%20.jpg").shape == (48, 64, 3), fault
            assert len(proxy.asked) == 3, fault
            faults[:] = [fault] * 3
            assert denied(reader, "a b/ü%20.jpg") is Status.UNREACHABLE, fault
            assert len(proxy.asked) == 6, fault
        faults[:] = [Fault.HALF_ANSWER]
        assert patient.read("a b/ü%20.jpg").shape == (48, 64, 3)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    assert denied(remote_reader(drive), "a b/ü%20.jpg") is Status.DENIED
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert denied(remote_reader(drive, timeout_s=0.5), "a b/ü%20.jpg") is Status.UNREACHABLE


def test_roots_with_keys_in_them_are_refused_unrepeated() -> None:
    with pytest.raises(ConfigError, match=r"frames\.roots: expected s3://") as caught:
        remote_reader("s3://KEY:SECRET@bucket/x")
    assert "SECRET" not in str(caught.value)


def webp_of(*images: Image.Image) -> bytes:
    sink = io.BytesIO()
    images[0].save(sink, "WEBP", lossless=True, save_all=len(images) > 1, append_images=images[1:])
    return sink.getvalue()


def test_webp_is_read_by_choice_and_whole() -> None:
    """By default it is corrupt to us; half a file and a moving picture always are."""
    formats: tuple[ImageFormat, ...] = ("jpeg", "png", "webp")
    data = webp_of(Image.fromarray(GRADIENT))
    np.testing.assert_array_equal(decode(data, MOST, formats=formats), GRADIENT)
    assert decode(data, MOST, (12, 16), formats).shape == (12, 16, 3)
    moving = webp_of(Image.fromarray(GRADIENT), Image.fromarray(255 - GRADIENT))
    for bad in (*(data[:length] for length in range(0, len(data), 7)), moving):
        with pytest.raises(FrameError) as caught:
            decode(bad, MOST, formats=formats)
        assert caught.value.status is Status.CORRUPT
    with pytest.raises(FrameError, match="expected JPEG or PNG, got WEBP"):
        decode(data, MOST)
    with pytest.raises(FrameError, match="expected WEBP, got PNG"):
        decode(PNG, MOST, formats=formats[2:])
    with pytest.raises(FrameError) as caught:
        decode(data, 48 * 64 - 1, formats=formats)
    assert caught.value.status is Status.TOO_LARGE


def test_the_formats_of_the_configuration_are_read(frames_root: Path) -> None:
    (frames_root / "a.webp").write_bytes(webp_of(Image.fromarray(GRADIENT)))
    spec = FramesSpec(roots=(str(frames_root),), formats=("webp",))
    assert FrameReader.open(spec).read("a.webp").shape == (48, 64, 3)
    assert denied(FrameReader.open(spec), "good.jpg") is Status.CORRUPT
