"""Checks an ensemble before it is trusted: whether its scores are true, how fast it is, what its resolution changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.threads import thread_budget
from fleetsift.engines.truth.parity import BOUND, Bound, Parity, measure_parity
from fleetsift.engines.truth.sentinel import broken_disagreement, broken_parity
from fleetsift.errors import SourceError
from fleetsift.inspection.ranks import kendall_tau_b, spearman, top_overlap
from fleetsift.inspection.resolutions import OTHER_SIZE, opened, opened_at_other_size
from fleetsift.inspection.sample import Pixels, Sample, batches, read_sampled

RANKED = tuple(
    f"{quantity}.{part}" for quantity in ("entropy", "mutual_information") for part in ("mean", "max", "top")
)
_MANY = 500  # frames, from which on the top is the highest 1 % and not the highest tenth
_SPEED_S, _ROUNDS = 1.0, 3  # how long and how often speed is measured, at least
_BATCHES_A_THREAD = 4


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How far the ranks of frames by one score, at native and at full size, agree; NaN where all frames are equal."""

    score: str
    spearman: float
    kendall_tau_b: float
    top_overlap: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    ensemble_id: str
    members: int
    frame_size: tuple[int, int]  # (height, width)
    resolution: str
    frames: int  # that were scored
    generated: bool  # canary frames, as none were given
    left_out: Mapping[str, str]  # frames that cannot be read, and why
    problems: int  # frames that a network answered with NaN or infinity
    parity: Parity
    highest_information_nats: float  # over all positions of all frames
    frames_per_s: Mapping[str, float]  # by resolution, pixels at hand
    threads: int
    ranks: tuple[RankAgreement, ...]  # empty where there is one resolution only
    ranks_missing: str | None  # why they are empty
    top_share: float  # of frames, in `top_overlap`
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
    bound: Bound = BOUND,
    on_frame: Callable[[int], None] = lambda _: None,
) -> Findings:
    """Check an ensemble file on frames (an image, a folder or a manifest), or on canary frames where none are given.

    Parity is measured on a few of them, evenly spread, as the reference is slow; ranks on all. Broken bounds are found,
    not raised: `Findings.broken` names them. on_frame is called with the number of frames scored so far.
    Raises ConfigError, EnsembleError or SourceError where nothing can be checked.
    """
    ensemble = read_ensemble(path)
    threads = threads or thread_budget()
    left_out: dict[str, str] = {}
    with opened(path, threads) as engine, opened_at_other_size(ensemble, threads) as (other, ranks_missing):
        engines = {ensemble.spec.resolution: engine} | ({OTHER_SIZE[ensemble.spec.resolution]: other} if other else {})
        sample = Sample({resolution: [] for resolution in engines}, [])
        for batch in batches(read_sampled(frames, engine.frame_size, left_out, sample), threads):
            for resolution, each in engines.items():
                sample.scores[resolution].append(each.score(batch))
            on_frame(sample.frames)
        if not sample.frames:
            name, reason = next(iter(left_out.items()))
            raise SourceError(f"{frames}: expected frames, none can be read, {name}: {reason}; mend the files")
        parity = measure_parity(engine, ensemble, np.stack(sample.kept), bound)
        speeds = _measure_speeds(engines, sample.kept, threads)
        members, frame_size = engine.members, engine.frame_size
    highest = sample.column(ensemble.spec.resolution, "mutual_information.max")
    problems = int(np.isnan(highest).sum())
    top_share = 0.01 if sample.frames >= _MANY else 0.1
    ranks = _compare_ranks(sample, top_share) if other else ()
    broken = (broken_parity(parity), _broken_frames(problems, sample.frames), broken_disagreement(members, highest))
    return Findings(
        ensemble_id=ensemble.ensemble_id,
        members=members,
        frame_size=frame_size,
        resolution=ensemble.spec.resolution,
        frames=sample.frames,
        generated=frames is None,
        left_out=left_out,
        problems=problems,
        parity=parity,
        highest_information_nats=float(highest[np.isfinite(highest)].max(initial=0)),
        frames_per_s=speeds,
        threads=threads,
        ranks=ranks,
        ranks_missing=ranks_missing or (None if ranks else "no frame has numbers at both sizes"),
        top_share=top_share,
        broken=tuple(line for line in broken if line),
    )


def _measure_speeds(engines: Mapping[str, Engine], pixels: Sequence[Pixels], threads: int) -> dict[str, float]:
    """Frames a second of each engine on pixels at hand: the median of rounds that take turns."""
    batch = next(batches(cycle(pixels), _BATCHES_A_THREAD * threads))
    rounds: dict[str, list[float]] = {name: [] for name in engines}
    until = time.perf_counter() + _SPEED_S
    while time.perf_counter() < until or len(next(iter(rounds.values()))) < _ROUNDS:
        for name, engine in engines.items():
            began = time.perf_counter()
            engine.score(batch)
            rounds[name].append(time.perf_counter() - began)
    return {name: len(batch) / median(seconds) for name, seconds in rounds.items()}


def _compare_ranks(sample: Sample, top_share: float) -> tuple[RankAgreement, ...]:
    """Each ranked score at both resolutions, on the frames that have a number at both."""
    agreements = []
    for score in RANKED:
        both = np.stack([sample.column(resolution, score) for resolution in sample.scores])
        one, other = both[:, np.isfinite(both).all(axis=0)]
        if not len(one):
            return ()
        agreements.append(
            RankAgreement(score, spearman(one, other), kendall_tau_b(one, other), top_overlap(one, other, top_share))
        )
    return tuple(agreements)


def _broken_frames(problems: int, frames: int) -> str | None:
    if not problems:
        return None
    return f"finite: expected numbers for every frame, got NaN or infinity on {problems} of {frames}; mend the networks"
