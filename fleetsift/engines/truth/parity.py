"""How far an engine's scores lie from the float64 reference, score by score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.rows import CLASS_QUANTITIES, STATISTICS, gather_rows
from fleetsift.engines.truth.separate import SeparateMembers
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import EQUAL_DISTANCES, F32, OBJECT_QUANTITIES, QUANTITIES, REGION_QUANTITIES, FrameScores


@dataclass(frozen=True, slots=True)
class Bound:
    """How far a score may lie from the reference."""

    most: float  # relative, or absolute (nats, where it is an entropy) where the reference is below one
    not_of: tuple[str, ...] = ()  # beginnings of the names of scores that jump where two classes are nearly equal


BOUND = Bound(1e-5)

# Networks in float16: a tolerance that is enforced; docs/engines.md says what behind it is proved and what is measured.
# Rounded logits turn votes and boxes that stand on a knife's edge.
HALF_BOUND = Bound(
    2e-2, ("variation_ratio", "by_class.argmax", "regions.argmax", "equal.argmax_disagreement", "objects")
)


def bound_of(*, half: bool) -> Bound:
    """The bound of an engine whose networks are in float16, or in float32."""
    return HALF_BOUND if half else BOUND


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest deviation of each score over some frames; infinite where only one of the two is a number."""

    frames: int
    deviations: Mapping[str, float]  # by the name of the score
    bound: Bound = BOUND

    @property
    def worst(self) -> tuple[str, float]:
        """Of the scores that have a bound the one that lies farthest off, and how far."""
        bounded = ((name, off) for name, off in self.deviations.items() if not name.startswith(self.bound.not_of))
        return max(bounded, key=lambda item: item[1])

    @property
    def holds(self) -> bool:
        """Whether every score lies within the bound."""
        return self.worst[1] <= self.bound.most


def measure_parity(engine: Engine, ensemble: Ensemble, frames: NDArray[np.uint8], bound: Bound = BOUND) -> Parity:
    """Compare an engine with the reference on the logits of each member of its ensemble, run separately.

    frames: (N, H, W, 3) RGB at the engine's frame size, at least one.
    """
    scores = engine.score(FrameBatch(frames, (None,) * len(frames)))
    members, spec = SeparateMembers(ensemble), ensemble.spec
    rows = [members.score(frame) for frame in frames]
    truth = gather_rows(
        rows,
        scores.classes,
        spec.grid,
        scores.embedding.shape[1],
        spec.task,
        objects=spec.boxes is not UNSET,
        equal=spec.compares_views,
    )
    return Parity(len(frames), deviations(scores, truth), bound)


def deviations(scores: FrameScores, truth: FrameScores) -> dict[str, float]:
    """The largest |score - truth| / max(1, |truth|) of each score; a frame that both refuse deviates by nothing."""
    found, expected = scores_by_name(scores), scores_by_name(truth)
    return {name: _largest(found[name], expected[name]) for name in expected}


def scores_by_name(scores: FrameScores) -> dict[str, F32]:
    """Every number that has a reference by the name of its column, (N,) or (N, something)."""
    quantities = [q for q in QUANTITIES if getattr(scores, q) is not None]
    named = {f"{q}.{s}": getattr(getattr(scores, q), s) for q in quantities for s in STATISTICS}
    class_quantities = [q for q in CLASS_QUANTITIES if getattr(scores.by_class, q) is not None]
    named |= {f"by_class.{q}": getattr(scores.by_class, q) for q in class_quantities}
    if scores.regions:
        named |= {f"regions.{q}": getattr(scores.regions, q) for q in REGION_QUANTITIES}
        named |= {"regions.argmax": scores.regions.argmax} if scores.regions.argmax is not None else {}
    if scores.objects:
        named |= {f"objects.{q}": getattr(scores.objects, q) for q in OBJECT_QUANTITIES}
    if scores.equal:
        named |= {f"equal.{distance}": getattr(scores.equal, distance) for distance in EQUAL_DISTANCES}
    return named | {"embedding": scores.embedding}


def _largest(found: F32, expected: F32) -> float:
    off = np.abs(found.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    off[np.isnan(found) & np.isnan(expected)] = 0
    off[np.isnan(off)] = np.inf
    return float(off.max(initial=0))
