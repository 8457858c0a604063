"""How fast an ensemble is here, by how many frames it is given at once, and how many threads keep it fed."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.open import open_ensemble
from fleetsift.engines.truth.canary import canary_frames
from fleetsift.errors import FrameError, SourceError
from fleetsift.inspection.frames import find_frames, open_reader
from fleetsift.inspection.sample import Pixels
from fleetsift.inspection.speed import measure_speeds
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.threads import thread_budget

BATCHES = (1, 2, 4, 8, 16)
FRAMES = 32  # at most, of those that are given
CANARIES = 4  # drawn where none are: on which of them does not change how fast they are scored

_CPU = RuntimeSpec()
_NEAR = 0.97  # of the fastest: a smaller batch that is so near is as good, and holds less memory


@dataclass(frozen=True, slots=True)
class Pace:
    """What one batch size comes to."""

    batch: int
    opened_s: float  # reading and verifying the networks, and building what is built
    frames_per_s: float
    peak_mib: float  # resident memory of this process at most, up to here


@dataclass(frozen=True, slots=True)
class Paces:
    """What a bench found."""

    ensemble_id: str
    members: int
    frame_size: tuple[int, int]  # (height, width)
    resolution: str
    runtime: RuntimeSpec
    threads: int
    frames: int  # that were scored again and again
    generated: bool  # canary frames, as none were given
    left_out: Mapping[str, str]  # frames that cannot be read, and why
    by_batch: tuple[Pace, ...]
    loaded_per_s: float | None  # frames that one thread reads and decodes; of frames that were given

    @property
    def advised(self) -> Pace:
        """The smallest batch that is about as fast as any."""
        fastest = max(pace.frames_per_s for pace in self.by_batch)
        return min((p for p in self.by_batch if p.frames_per_s >= _NEAR * fastest), key=lambda pace: pace.batch)

    @property
    def loading_threads(self) -> int | None:
        """How many threads must read and decode so that the advised batch never waits."""
        return math.ceil(self.advised.frames_per_s / self.loaded_per_s) if self.loaded_per_s else None


def bench_ensemble(
    path: str | Path,
    frames: Path | None = None,
    *,
    threads: int | None = None,
    runtime: RuntimeSpec = _CPU,
    batch_sizes: Sequence[int] = BATCHES,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Paces:
    """Measure an ensemble file's pace at some batch sizes on the first of some frames, or on canary frames.

    on_batch is called with each size before it is measured; on TensorRT each has plans of its own, which are built.
    Raises ConfigError, EnsembleError or SourceError where nothing can be measured.
    """
    ensemble, threads = read_ensemble(path), threads or thread_budget()
    spec = ensemble.spec
    left_out: dict[str, str] = {}
    loaded_per_s = None
    if frames is None:
        pixels = list(canary_frames(CANARIES, spec.frame_size))
    else:
        pixels, loaded_per_s = _load(frames, spec.frame_size, left_out)
    paces = []
    for batch in sorted(set(batch_sizes)):
        on_batch(batch)
        began = time.perf_counter()
        with closing(open_ensemble(ensemble, threads, runtime=runtime, batch=batch)) as engine:
            opened_s = time.perf_counter() - began
            speed = measure_speeds({"": engine}, pixels, batch)[""]
            ensemble_id, members = engine.ensemble_id, engine.members
        paces.append(Pace(batch, opened_s, speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return Paces(
        ensemble_id=ensemble_id,
        members=members,
        frame_size=spec.frame_size,
        resolution=spec.resolution,
        runtime=runtime,
        threads=threads,
        frames=len(pixels),
        generated=frames is None,
        left_out=left_out,
        by_batch=tuple(paces),
        loaded_per_s=loaded_per_s,
    )


def _load(frames: Path, size: tuple[int, int], left_out: dict[str, str]) -> tuple[list[Pixels], float]:
    """The first frames that can be read, and how many a second one thread reads: the second time, when all is warm."""
    reader, uris = open_reader(), []
    for message in find_frames(frames)[:FRAMES]:
        try:
            reader.read(message.uri, size)
            uris.append(message.uri)
        except FrameError as error:
            left_out[message.frame_id] = f"{error.status}, {error.reason}"
    if not uris:
        frame, reason = next(iter(left_out.items()))
        raise SourceError(f"{frames}: expected frames, none can be read, {frame}: {reason}; mend the files")
    began = time.perf_counter()
    pixels = [reader.read(uri, size) for uri in uris]
    return pixels, len(pixels) / (time.perf_counter() - began)
