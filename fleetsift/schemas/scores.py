"""What an ensemble says about a batch of N frames: a few floats a frame, never probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.status import Problem

F32 = NDArray[np.float32]

Task: TypeAlias = Literal["semantic_segmentation", "classification", "detection_heatmap"]
RankingQuantity: TypeAlias = Literal["mutual_information", "entropy"]

QUANTITIES = (
    "entropy",
    "expected_entropy",
    "mutual_information",
    "variation_ratio",
    "least_confidence",
    "margin",
)
REGION_QUANTITIES = ("entropy", "mutual_information")
OBJECT_QUANTITIES = (
    "count",
    "object_frequency",
    "objectness_least_confidence",
    "uncertainty_least_confidence",
    "uncertainty_margin",
    "uncertainty_entropy",
)
EQUAL_DISTANCES = ("jensen_shannon", "argmax_disagreement")

_ONE_OF_THE_CLASSES = frozenset({"variation_ratio", "margin"})  # votes, and a second most probable class


def has_independent_classes(task: Task) -> bool:
    """Whether every class is a question of its own, yes or no, instead of one of the classes being the answer.

    What is said of a position is then the sum over its classes: the entropy of independent labels together, so that
    the classes' shares sum to the whole as they do where one class is the answer.
    """
    return task == "detection_heatmap"


def ranking_quantity(members: int) -> RankingQuantity:
    """What frames are ranked by: what members disagree about; one member disagrees with nobody, so how unsure it is."""
    return "mutual_information" if members > 1 else "entropy"


def quantities_of(task: Task) -> tuple[str, ...]:
    """The quantities that a task has, in the order of QUANTITIES."""
    return tuple(q for q in QUANTITIES if not (has_independent_classes(task) and q in _ONE_OF_THE_CLASSES))


@dataclass(frozen=True, slots=True)
class Statistic:
    """One quantity over the positions of each frame."""

    mean: F32  # (N,)
    max: F32  # (N,)
    top: F32  # (N,) mean over the highest `top_share` of positions


@dataclass(frozen=True, slots=True)
class ByClass:
    """What each class contributes, per frame; classes are in the ensemble's order."""

    entropy: F32  # (N, C) nats: mean over positions of the class's share; sums over C to entropy.mean
    mutual_information: F32  # (N, C) nats: sums over C to mutual_information.mean
    area: F32  # (N, C) mean of P
    argmax: F32 | None  # (N, C) share of positions where the class has the largest P; none where it need not be one


@dataclass(frozen=True, slots=True)
class RegionGrid:
    """Means over the cells of a coarse grid, rows first; cell (r, q) covers [r*H//rows, (r+1)*H//rows) and so on."""

    rows: int
    columns: int
    entropy: F32  # (N, rows * columns) nats
    mutual_information: F32  # (N, rows * columns) nats
    argmax: F32 | None = None  # (N, rows * columns * C) share of a cell where the class has the largest P, cell by cell


@dataclass(frozen=True, slots=True)
class ObjectScores:
    """What the boxes of one detector say of each frame, as Lightly's scorers do; 0 in a frame without boxes."""

    count: F32  # (N,) boxes
    object_frequency: F32  # (N,) sum over the classes present of 1 + 0.25 (boxes - 1); scaled only when it is asked for
    objectness_least_confidence: F32  # (N,) 1 - mean of the boxes' scores
    uncertainty_least_confidence: F32  # (N,) of the box whose class is least sure: (1 - max p) / (1 - 1 / C)
    uncertainty_margin: F32  # (N,) largest 1 - (p1 - p2) of a box
    uncertainty_entropy: F32  # (N,) largest entropy of a box's class, in bits, over log2 C


@dataclass(frozen=True, slots=True)
class EqualScores:
    """How far apart the predictions on a frame and on its mirror image are: means over positions and members."""

    jensen_shannon: F32  # (N,) divergence of the two softmaxes, in [0, ln 2] nats
    argmax_disagreement: F32  # (N,) share of positions whose most probable class differs


@dataclass(frozen=True, slots=True)
class FrameScores:
    """The scores of N frames, in nats; where `problems` has an entry every number of that frame is NaN.

    What a task does not have is None: with independent classes (`detection_heatmap`) variation ratio, margin and the
    classes' argmax; in `classification`, where a frame is one position, the regions.
    """

    classes: tuple[str, ...]
    entropy: Statistic
    expected_entropy: Statistic
    mutual_information: Statistic
    variation_ratio: Statistic | None
    least_confidence: Statistic
    margin: Statistic | None
    by_class: ByClass
    regions: RegionGrid | None
    embedding: F32  # (N, D); D is 0 where the ensemble has none
    problems: tuple[Problem | None, ...]  # (N,)
    objects: ObjectScores | None = None  # where the ensemble file says how boxes are found
    equal: EqualScores | None = None  # where members see the mirror image too, and one of the classes is the answer

    def __post_init__(self) -> None:
        n, c = len(self.problems), len(self.classes)
        for name in QUANTITIES:
            statistic: Statistic | None = getattr(self, name)
            for part in ("mean", "max", "top") if statistic else ():
                _expect_shape(f"{name}.{part}", getattr(statistic, part), (n,))
        for name in ("entropy", "mutual_information", "area", "argmax"):
            values: F32 | None = getattr(self.by_class, name)
            if values is not None:
                _expect_shape(f"by_class.{name}", values, (n, c))
        if self.regions:
            for name in REGION_QUANTITIES:
                cells = self.regions.rows * self.regions.columns
                _expect_shape(f"regions.{name}", getattr(self.regions, name), (n, cells))
            if self.regions.argmax is not None:
                _expect_shape("regions.argmax", self.regions.argmax, (n, self.regions.rows * self.regions.columns * c))
        for name in OBJECT_QUANTITIES if self.objects else ():
            _expect_shape(f"objects.{name}", getattr(self.objects, name), (n,))
        for name in EQUAL_DISTANCES if self.equal else ():
            _expect_shape(f"equal.{name}", getattr(self.equal, name), (n,))
        if self.embedding.ndim != 2 or len(self.embedding) != n:
            raise ValueError(f"FrameScores.embedding: expected ({n}, D), got {self.embedding.shape}")

    def __len__(self) -> int:
        return len(self.problems)


def _expect_shape(name: str, values: F32, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise ValueError(f"FrameScores.{name}: expected float32 {shape}, got {values.dtype} {values.shape}")
