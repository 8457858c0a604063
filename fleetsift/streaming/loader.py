"""Decodes ahead: while one batch is scored, the next are fetched and decoded in threads, in order, within a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore

import numpy as np

from fleetsift.errors import FrameError
from fleetsift.schemas.frames import FrameBatch, FrameRef
from fleetsift.schemas.status import Problem, Status
from fleetsift.streaming.frames import FrameReader, Pixels, decode


@dataclass(frozen=True, slots=True)
class FrameLoader:
    """Turns batches of references into batches of pixels."""

    reader: FrameReader
    size: tuple[int, int]  # (height, width) of every batch
    threads: int  # that decode
    ahead: int = 2  # batches that may be decoded or decoding beside the one being scored

    def load(self, batches: Iterable[list[FrameRef]]) -> Iterator[tuple[list[FrameRef], FrameBatch]]:
        """Yield each batch with its pixels, in order; an empty batch waits for nothing and lets nothing wait."""
        fetching = max(self.threads, self.reader.in_flight)  # most of these only wait for an object store
        decoding = Semaphore(self.threads)
        with ThreadPoolExecutor(fetching, thread_name_prefix="decode") as pool:
            begun: deque[_Begun] = deque()
            for refs in batches:
                begun.append(self._begin(refs, pool, decoding))
                keep = self.ahead if refs else 0
                while len(begun) > keep:
                    yield begun.popleft().finish()
            while begun:
                yield begun.popleft().finish()

    def _begin(self, refs: list[FrameRef], pool: ThreadPoolExecutor, decoding: Semaphore) -> _Begun:
        pixels = np.zeros((len(refs), *self.size, 3), dtype=np.uint8)
        problems = [pool.submit(self._fill, ref, pixels[i], decoding) for i, ref in enumerate(refs)]
        return _Begun(refs, pixels, problems)

    def _fill(self, ref: FrameRef, pixels: Pixels, decoding: Semaphore) -> Problem | None:
        """Fetch one frame and decode it into its place in the batch, or say why not."""
        if ref.problem is not None or ref.uri is None:
            return ref.problem or Problem(Status.BAD_MESSAGE, "the reference has no uri")
        try:
            data = self.reader.fetch(ref.uri)
            with decoding:
                pixels[:] = decode(data, self.reader.most_pixels, self.size)
        except FrameError as error:
            return Problem(error.status, error.reason)
        return None


@dataclass(frozen=True, slots=True)
class _Begun:
    refs: list[FrameRef]
    pixels: Pixels  # (N, height, width, 3), being filled
    problems: list[Future[Problem | None]]

    def finish(self) -> tuple[list[FrameRef], FrameBatch]:
        return self.refs, FrameBatch(self.pixels, tuple(future.result() for future in self.problems))
