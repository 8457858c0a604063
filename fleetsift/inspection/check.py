"""Checks an ensemble before it is trusted: whether its scores are true, its speed, what else ranks frames so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.threads import thread_budget
from fleetsift.engines.truth.parity import Parity, bound_of, measure_parity
from fleetsift.engines.truth.sentinel import broken_disagreement, broken_parity
from fleetsift.errors import SourceError
from fleetsift.inspection.agreement import Comparison, broken_ranks, compare
from fleetsift.inspection.sample import Sample, batches, read_sampled
from fleetsift.inspection.speed import measure_speeds
from fleetsift.inspection.variants import open_variants
from fleetsift.schemas.runtime import RuntimeSpec

_CPU = RuntimeSpec()
_BATCHES = 4  # that are timed together


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    ensemble_id: str
    members: int
    frame_size: tuple[int, int]  # (height, width)
    resolution: str
    runtime: RuntimeSpec
    frames: int  # that were scored
    generated: bool  # canary frames, as none were given
    left_out: Mapping[str, str]  # frames that cannot be read, and why
    problems: int  # frames that a network answered with NaN or infinity
    parity: Parity
    highest_information_nats: float  # over all positions of all frames
    frames_per_s: Mapping[str, float]  # as it is configured first, then of each variant; pixels at hand
    threads: int
    comparisons: tuple[Comparison, ...]  # with its other size, and with its other precision
    broken: tuple[str, ...]  # one line for each broken bound

    @property
    def passed(self) -> bool:
        """Whether every bound holds."""
        return not self.broken


def check_ensemble(
    path: str | Path,
    frames: Path | None = None,
    *,
    threads: int | None = None,
    runtime: RuntimeSpec = _CPU,
    batch: int = 8,
    on_frame: Callable[[int], None] = lambda _: None,
) -> Findings:
    """Check an ensemble file on frames (an image, a folder or a manifest), or on canary frames where none are given.

    Parity is measured on a few of them, evenly spread, as the reference is slow; ranks on all. Broken bounds are found,
    not raised: `Findings.broken` names them. on_frame is called with the number of frames scored so far.
    Raises ConfigError, EnsembleError or SourceError where nothing can be checked.
    """
    ensemble = read_ensemble(path)
    threads = threads or thread_budget()
    size = ensemble.spec.resolution
    left_out: dict[str, str] = {}
    with open_variants(ensemble, runtime, threads, batch) as (engine, variants):
        engines = {size: engine} | {variant.name: variant.engine for variant in variants if variant.engine}
        sample = Sample({name: [] for name in engines}, [])
        at_once = batch if runtime.needs_gpu else threads
        for chunk in batches(read_sampled(frames, engine.frame_size, left_out, sample), at_once):
            for name, each in engines.items():
                sample.scores[name].append(each.score(chunk))
            on_frame(sample.frames)
        if not sample.frames:
            frame, reason = next(iter(left_out.items()))
            raise SourceError(f"{frames}: expected frames, none can be read, {frame}: {reason}; mend the files")
        parity = measure_parity(engine, ensemble, np.stack(sample.kept), bound_of(half=runtime.half))
        speeds = measure_speeds(engines, sample.kept, _BATCHES * at_once)
    highest = sample.column(size, "mutual_information.max")
    problems = int(np.isnan(highest).sum())
    comparisons = tuple(compare(sample, size, variant, engine.members) for variant in variants)
    broken = (
        broken_parity(parity),
        _broken_frames(problems, sample.frames),
        broken_disagreement(ensemble.spec, highest),
        *(broken_ranks(comparison, sample.frames) for comparison in comparisons),
    )
    return Findings(
        ensemble_id=engine.ensemble_id,
        members=engine.members,
        frame_size=engine.frame_size,
        resolution=size,
        runtime=runtime,
        frames=sample.frames,
        generated=frames is None,
        left_out=left_out,
        problems=problems,
        parity=parity,
        highest_information_nats=float(highest[np.isfinite(highest)].max(initial=0)),
        frames_per_s=speeds,
        threads=threads,
        comparisons=comparisons,
        broken=tuple(line for line in broken if line),
    )


def _broken_frames(problems: int, frames: int) -> str | None:
    if not problems:
        return None
    return f"finite: expected numbers for every frame, got NaN or infinity on {problems} of {frames}; mend the networks"
