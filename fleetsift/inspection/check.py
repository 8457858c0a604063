"""Checks an ensemble before it is trusted: whether its scores are true, its speed, what else ranks frames so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.truth.parity import Parity, bound_of, measure_parity
from fleetsift.engines.truth.sentinel import broken_disagreement, broken_parity
from fleetsift.inspection.agreement import Comparison, broken_ranks, compare
from fleetsift.inspection.sample import score_sample
from fleetsift.inspection.speed import measure_speeds
from fleetsift.inspection.variants import open_variants
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.schemas.scores import F32
from fleetsift.threads import thread_budget

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
    with open_variants(ensemble, runtime, threads, batch) as (engine, variants):
        engines = {size: engine} | {variant.name: variant.engine for variant in variants if variant.engine}
        at_once = batch if runtime.needs_gpu else threads
        sample = score_sample(engines, frames, at_once, on_frame)
        parity = measure_parity(engine, ensemble, np.stack(sample.kept), bound_of(half=runtime.half))
        speeds = measure_speeds(engines, sample.kept, _BATCHES * at_once)
    comparisons = tuple(compare(sample, size, variant, engine.members) for variant in variants)
    highest = sample.column(size, "mutual_information.max")
    return Findings(
        ensemble_id=engine.ensemble_id,
        members=engine.members,
        frame_size=engine.frame_size,
        resolution=size,
        runtime=runtime,
        frames=sample.frames,
        generated=frames is None,
        left_out=sample.left_out,
        problems=int(np.isnan(highest).sum()),
        parity=parity,
        highest_information_nats=float(highest[np.isfinite(highest)].max(initial=0)),
        frames_per_s=speeds,
        threads=threads,
        comparisons=comparisons,
        broken=_broken(ensemble.spec, parity, highest, comparisons),
    )


def _broken(
    spec: EnsembleSpec, parity: Parity, highest_information: F32, comparisons: Sequence[Comparison]
) -> tuple[str, ...]:
    """A line for each bound that does not hold; highest_information: (N,) nats, NaN of frames without numbers."""
    frames = len(highest_information)
    lines = (
        broken_parity(parity),
        _broken_frames(int(np.isnan(highest_information).sum()), frames),
        broken_disagreement(spec, highest_information),
        *(broken_ranks(comparison, frames) for comparison in comparisons),
    )
    return tuple(line for line in lines if line)


def _broken_frames(problems: int, frames: int) -> str | None:
    if not problems:
        return None
    return f"finite: expected numbers for every frame, got NaN or infinity on {problems} of {frames}; mend the networks"
