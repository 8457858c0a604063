"""Videos for tests: every frame says its number, in 16 blocks of black and white."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

HEIGHT, WIDTH = 64, 96
_BITS = 8


def draw(number: int) -> NDArray[np.uint8]:
    """A frame (64, 96, 3) whose left half spells its number in bits, and whose right half changes smoothly."""
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for bit in range(_BITS):
        y, x = divmod(bit, 2)
        pixels[16 * y : 16 * y + 16, 24 * x : 24 * x + 24] = 235 if number >> bit & 1 else 16
    pixels[:, 48:] = (np.arange(48)[None, :, None] * 3 + number) % 200
    return pixels


def number_of(pixels: NDArray[np.uint8]) -> int:
    """What `draw` drew, whatever the codec and the size have made of it."""
    height, width = pixels.shape[0] // 4, pixels.shape[1] // 4
    number = 0
    for bit in range(_BITS):
        y, x = divmod(bit, 2)
        block = pixels[height * y : height * (y + 1), width * x : width * (x + 1)]
        number |= int(block[height // 4 : -height // 4, width // 4 : -width // 4].mean() > 128) << bit
    return number


def write_video(
    path: Path, times_ms: Sequence[int], codec: str = "libx264", options: dict[str, str] | None = None, gop: int = 12
) -> Path:
    """A video whose frame n is shown at the n-th time."""
    av = pytest.importorskip("av", reason="videos need PyAV (extra `video`)")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts, frame.time_base = ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_in_sequence(path: Path, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Every frame as a plain loop over the decoder gives it."""
    import av

    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    shown = (frame.reformat(size[1], size[0], "rgb24", interpolation="AREA") for frame in frames)
    return [np.asarray(frame.to_ndarray(), np.uint8) for frame in shown]
