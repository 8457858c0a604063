"""Frames of videos by time or index: decoded in sequence where they are asked for in sequence; the only home of PyAV.

The frame of a time is the one that is shown then. Whatever was asked for before, it is decoded from a key frame before
it on, so that the same frame comes out; a decoder that has met damage begins anew at the next question.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from fleetsift.errors import FrameError, MissingExtra
from fleetsift.schemas.status import Status
from fleetsift.streaming.frames.images import Pixels, Size

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

_MOMENT = re.compile(r"(?P<video>.+)#(?:t=(?P<t>[0-9]{1,9}(?:\.[0-9]{1,9})?)|frame=(?P<frame>[0-9]{1,12}))")
_ROUNDED_S = Fraction(1, 1000)  # by so much may a time be less than its frame's: it may have been cut to milliseconds
_FAR_S = 2.0  # ahead of the frame in hand: further than this, and than key frames are known to be apart, it seeks
_MOST_FFMPEG = 2**31 - 1  # pixels that it can count
_MOST_OPEN = 8  # videos at once, each with its decoder's few frames


class Moment(NamedTuple):
    """A frame of a video: the one shown so many seconds after the first, or by its number from 0."""

    video: str
    t_s: Fraction | None
    frame: int | None


def moment_of(uri: str) -> Moment | None:
    """What a URI of the form VIDEO#t=12.40 or VIDEO#frame=372 names; None where it has no such end."""
    found = _MOMENT.fullmatch(uri)
    if found is None:
        return None
    t_s = Fraction(found["t"]) if found["t"] else None
    return Moment(found["video"], t_s, int(found["frame"]) if found["frame"] else None)


def video_seconds(file: BinaryIO) -> float:
    """How long a video is shown; 0 where it cannot be read."""
    try:
        with _as_frame_errors(), _open(file, sys.maxsize) as container:
            clock = _clock(container)
            end = clock.end if clock.end > clock.first else max(_times(container), default=clock.first)
            return float((end - clock.first) * clock.unit_s)
    except FrameError:
        return 0.0


@dataclass(slots=True)
class Videos:
    """The videos that were asked for last, open where their last answer left them."""

    most_pixels: int
    _open: OrderedDict[str, _Video] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def read(self, moment: Moment, open_file: Callable[[], BinaryIO], size: Size | None) -> tuple[Pixels, Size]:
        """One frame, resized to (height, width) where given, and its own size; raises FrameError."""
        with self._lock:
            video = self._open.setdefault(moment.video, _Video(open_file, self.most_pixels))
            self._open.move_to_end(moment.video)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)  # closed when nobody reads it any more
        return video.read(moment, size)

    def seeks(self) -> dict[str, int]:
        """How often each open video was not read on from where it stood."""
        with self._lock:
            return {name: video.seeks for name, video in self._open.items()}


class _Video:
    """One video, and where its decoder stands: at the frame in hand, and one further to know how long it is shown."""

    def __init__(self, open_file: Callable[[], BinaryIO], most_pixels: int) -> None:
        self._open_file = open_file
        self._most_pixels = most_pixels
        self._lock = Lock()
        self._files = ExitStack()
        self._container: InputContainer | None = None
        self._times: list[int] | None = None
        self._frames: Iterator[_Shown] = iter(())
        self._now: _Shown | None = None
        self._next: _Shown | None = None
        self.seeks = 0
        self._apart = 0  # as far as key frames are known to be, in the stream's unit of time

    def __del__(self) -> None:
        self._files.close()

    def read(self, moment: Moment, size: Size | None) -> tuple[Pixels, Size]:
        with self._lock, _as_frame_errors():
            try:
                frame = self._find(moment)
                if frame.is_corrupt:
                    raise FrameError(Status.CORRUPT, "video: the frame is damaged")
                _check_pixels(frame.width, frame.height, self._most_pixels)
                own_size = frame.height, frame.width
                height, width = size or own_size
                shown = frame.reformat(width, height, "rgb24", interpolation="AREA", threads=1)
                return np.asarray(shown.to_ndarray(), dtype=np.uint8), own_size
            except BaseException:
                self._now = None  # whatever the decoder holds now: the next question begins at a key frame
                raise

    def _find(self, moment: Moment) -> VideoFrame:
        if self._container is None:
            self._container = self._files.enter_context(_open(self._open_file(), self._most_pixels))
        clock = _clock(self._container)
        asked = self._asked(moment, clock)
        target, far = int(asked + _ROUNDED_S / clock.unit_s), max(self._apart, int(_FAR_S / clock.unit_s))
        if self._now is None or target < self._now.at or target > self._now.at + far:
            self._seek(target, clock)
        while self._next is not None and self._next.at <= target:
            self._now, self._next = self._next, next(self._frames, None)
        if self._now is None:
            raise FrameError(Status.CORRUPT, "video: no frame of it can be decoded")
        end = self._now.at + (self._now.frame.duration or clock.usual)
        if self._next is None and asked >= end:
            until = f"the video ends at {float((end - clock.first) * clock.unit_s):.3f} s"
            if asked < clock.end:
                raise FrameError(Status.CORRUPT, f"{until}, and says that it goes on")
            raise FrameError(Status.MISSING, until)
        return self._now.frame

    def _asked(self, moment: Moment, clock: _Clock) -> Fraction:
        """The time that is asked for, in the stream's unit."""
        if moment.t_s is not None:
            return clock.first + moment.t_s / clock.unit_s
        if self._times is None:
            with _open(self._open_file(), self._most_pixels) as container:
                self._times = _times(container)
        if moment.frame is None or moment.frame >= len(self._times):
            raise FrameError(Status.MISSING, f"the video has {len(self._times)} frames")
        return Fraction(self._times[moment.frame])

    def _seek(self, target: int, clock: _Clock) -> None:
        """Stand at a key frame that is shown at or before the target, or at the first frame of all."""
        back = 0
        self.seeks += 1
        while True:
            at = target - back
            self._frames = self._decode_from(at if at > clock.first else None)
            # What comes before the key frame may lean on frames that were not decoded.
            self._now = next((shown for shown in self._frames if shown.frame.key_frame), None)
            if (self._now is not None and self._now.at <= target) or at <= clock.first:
                break
            back = 2 * back or int(1 / clock.unit_s)
        self._next = next(self._frames, None)
        if self._now is not None:
            self._apart = max(self._apart, target - self._now.at)

    def _decode_from(self, at: int | None) -> Iterator[_Shown]:
        """Frames from a key frame at or before a time on; from the very first in a container opened anew."""
        if at is None or self._container is None:
            self._files.close()
            self._container = self._files.enter_context(_open(self._open_file(), self._most_pixels))
        stream = self._container.streams.video[0]
        if at is not None:
            self._container.seek(at, stream=stream, backward=True)
        for frame in self._container.decode(stream):
            if frame.pts is None:
                raise FrameError(Status.CORRUPT, "video: its frames have no times")
            yield _Shown(frame.pts, frame)


class _Shown(NamedTuple):
    """A frame, and when it begins to be shown, in the stream's unit of time."""

    at: int
    frame: VideoFrame


class _Clock(NamedTuple):
    """How a video tells the time; all but the unit are in that unit."""

    unit_s: Fraction
    first: int
    usual: int  # between frames
    end: int  # as it says itself


def _clock(container: InputContainer) -> _Clock:
    stream = container.streams.video[0]
    unit_s, first = stream.time_base or Fraction(1, 1000), stream.start_time or 0
    usual = max(1, int(1 / (stream.average_rate or 25) / unit_s))
    said = stream.duration or (int(Fraction(container.duration, 1_000_000) / unit_s) if container.duration else 0)
    return _Clock(unit_s, first, usual, first + said)


def _times(container: InputContainer) -> list[int]:
    """When each frame is shown, in order, without decoding any."""
    packets = container.demux(container.streams.video[0])
    return sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)


@contextmanager
def _open(file: BinaryIO, most_pixels: int) -> Iterator[InputContainer]:
    """A video whose format is told by its first bytes alone, so that no playlist ever names other files."""
    with file:
        if importlib.util.find_spec("av") is None:
            raise MissingExtra("video", "av", "video")
        import av  # noqa: PLC0415 - an extra

        with av.open(file, "r", format=_format_of(file), metadata_errors="replace") as container:
            codec = next((stream.codec_context for stream in container.streams.video[:1]), None)
            if codec is None:
                raise FrameError(Status.CORRUPT, "video: there is no picture in it that can be decoded")
            _check_pixels(codec.width, codec.height, most_pixels)
            # FFmpeg counts its own margins too; it stops what grows in the middle before it is decoded.
            codec.options = {"max_pixels": str(min(2 * most_pixels + 2**16, _MOST_FFMPEG)), "err_detect": "explode"}
            codec.thread_count = 1  # decoding runs beside scoring already, a video a thread
            yield container


def _check_pixels(width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise FrameError(Status.TOO_LARGE, f"the video has {width} x {height} pixels, more than frames.most_pixels")


def _format_of(file: BinaryIO) -> str:
    head = file.read(12)
    file.seek(0)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    raise FrameError(Status.CORRUPT, "expected a video: MP4, QuickTime, Matroska, WebM or AVI")


@contextmanager
def _as_frame_errors() -> Iterator[None]:
    """What FFmpeg cannot make sense of is a damaged video; what the place of the file says passes."""
    try:
        yield
    except (FrameError, MissingExtra):
        raise
    except Exception as error:
        ffmpeg = type(error).__module__ == "av.error"
        if not ffmpeg and not isinstance(error, ValueError | ArithmeticError):
            raise
        reason = getattr(error, "strerror", None) or f"{type(error).__name__} in its container"
        raise FrameError(Status.CORRUPT, f"video: {reason}") from error
