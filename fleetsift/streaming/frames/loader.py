"""Decodes ahead: while one batch is scored, the next are fetched and decoded in threads, in order, within a bound."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Semaphore

import numpy as np

from fleetsift.errors import FrameError
from fleetsift.schemas.frames import FrameBatch, FrameRef
from fleetsift.schemas.status import Problem, Status
from fleetsift.streaming.frames.images import Pixels, Size
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.frames.videos import moment_of


@dataclass(frozen=True, slots=True)
class FrameLoader:
    """Turns batches of references into batches of pixels."""

    reader: FrameReader
    size: Size  # of every batch
    threads: int  # that decode
    ahead: int = 2  # batches that may be decoded or decoding beside the one being scored
    on_loaded: Callable[[float, float, int], None] = lambda _fetch_s, _decode_s, _bytes: None  # told by many threads

    def load(self, batches: Iterable[list[FrameRef]]) -> Iterator[tuple[list[FrameRef], FrameBatch]]:
        """Yield each batch, its references with their frames' sizes, and its pixels, in order.

        An empty batch waits for nothing and lets nothing wait.

        No more is held than `ahead` + 1 batches of pixels, and of bytes not yet decoded one frame a fetch in flight.
        Raises SourceError where an object store stays away.
        """
        fetching = max(self.threads, self.reader.in_flight)  # most of these only wait for an object store
        decoding = Semaphore(self.threads)
        with ThreadPoolExecutor(fetching, thread_name_prefix="decode") as pool:
            begun: deque[_Begun] = deque()
            for refs in batches:
                before = begun[-1].videos if begun else {}
                begun.append(self._begin(refs, pool, decoding, before))
                keep = self.ahead if refs else 0
                while len(begun) > keep:
                    yield begun.popleft().finish()
            while begun:
                yield begun.popleft().finish()

    def _begin(
        self, refs: list[FrameRef], pool: ThreadPoolExecutor, decoding: Semaphore, before: Mapping[str, Filling]
    ) -> _Begun:
        """Start on a batch: images side by side, the frames of a video one after another, in order over batches too."""
        pixels = np.zeros((len(refs), *self.size, 3), dtype=np.uint8)
        fillings: list[Filling] = []
        of_videos: dict[str, list[int]] = {}
        for i, ref in enumerate(refs):
            moment = moment_of(ref.uri) if ref.uri else None
            if moment is None:
                fillings.append(pool.submit(self._fill, refs, [i], pixels, decoding))
            else:
                of_videos.setdefault(moment.video, []).append(i)
        videos = {
            video: pool.submit(self._fill, refs, places, pixels, decoding, before.get(video))
            for video, places in of_videos.items()
        }
        return _Begun(refs, pixels, [*fillings, *videos.values()], videos)

    def _fill(
        self, refs: list[FrameRef], places: list[int], pixels: Pixels, decoding: Semaphore, after: Filling | None = None
    ) -> dict[int, Size | Problem]:
        """Decode some frames into their places in the batch, after others; returns their sizes or why not, by place."""
        if after is not None:
            wait([after])  # it was begun before this one, so a thread is at it
        found: dict[int, Size | Problem] = {}
        for i in places:
            try:
                found[i] = self._fill_one(refs[i], pixels[i], decoding)
            except FrameError as error:
                pixels[i] = 0  # half of it may be decoded
                found[i] = Problem(error.status, error.reason)
        return found

    def _fill_one(self, ref: FrameRef, pixels: Pixels, decoding: Semaphore) -> Size:
        if ref.problem is not None or ref.uri is None:
            problem = ref.problem or Problem(Status.BAD_MESSAGE, "the reference has no uri")
            raise FrameError(problem.status, problem.reason)
        moment = moment_of(ref.uri)
        begun, data = time.perf_counter(), b""
        if moment is None:
            data = self.reader.fetch(ref.uri)
        fetched = time.perf_counter()
        with decoding:
            free = time.perf_counter()
            if moment is None:
                own_size = self.reader.decode_into(pixels, data)
            else:
                pixels[:], own_size = self.reader.read_moment(moment, self.size)
        self.on_loaded(fetched - begun, time.perf_counter() - free, len(data))
        return own_size


Filling = Future[dict[int, Size | Problem]]  # by place in the batch


@dataclass(frozen=True, slots=True)
class _Begun:
    refs: list[FrameRef]
    pixels: Pixels  # (N, height, width, 3), being filled
    fillings: list[Filling]
    videos: dict[str, Filling]

    def finish(self) -> tuple[list[FrameRef], FrameBatch]:
        by_place = {i: found for filling in self.fillings for i, found in filling.result().items()}
        found = [by_place[i] for i in range(len(self.refs))]
        refs = [
            ref if isinstance(each, Problem) else replace(ref, size=each)
            for ref, each in zip(self.refs, found, strict=True)
        ]
        return refs, FrameBatch(self.pixels, tuple(each if isinstance(each, Problem) else None for each in found))
