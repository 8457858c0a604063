"""What to select (YAML), and what was selected, with a receipt for each pick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")
Measure = Literal["cosine", "distance"]
Target = Literal["uniform", "pool"] | dict[str, Annotated[float, Meta(ge=0)]]
Strength = Annotated[float, Meta(ge=0, description="The exponent of this objective in the product.")]


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="score"):
    """Prefer frames with a high value of an SQL expression over the store's columns."""

    expression: str = "mutual_information.top"
    strength: Strength = 1.0

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return self.expression


class Diversity(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="diversity"
):
    """Prefer frames far from everything picked or labelled: Euclidean distance to the nearest in the embedding.

    While nothing is picked or labelled there is no distance, and this factor is 1 for every frame.
    """

    strength: Strength = 1.0

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return "diversity"


class Random(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="random"):
    """Prefer frames by lot: a number in (0, 1] from a hash of the selection's seed and the frame_id."""

    strength: Strength = 1.0

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return "random"


class Similarity(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="similarity"
):
    """Prefer frames like the nearest of some given ones, in the embedding.

    `cosine`: (1 + the largest cosine) / 2; `distance`: 1 / (1 + the smallest Euclidean distance). The given frames have
    to be in the store; one that is not labelled is a candidate itself.
    """

    frames: Annotated[tuple[str, ...], Meta(min_length=1, description="Files that name them, as for labelled frames.")]
    measure: Measure = "cosine"
    strength: Strength = 1.0

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return "similarity"


class Typicality(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="typicality"
):
    """Prefer frames in dense parts of the embedding: 1 / mean distance to the nearest neighbours (TypiClust, 2022)."""

    neighbours: Annotated[int, Meta(ge=1, le=1000)] = 20
    among: Annotated[
        int, Meta(ge=2, description="Neighbours are sought among so many of the pool, drawn by the seed.")
    ] = 20_000
    strength: Strength = 1.0

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return "typicality"


class Balance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="balance"):
    """Prefer frames whose value of a key the batch still lacks: wanted share / (2 x picks of the value + 1).

    The largest of these is whose turn it is under the method of Webster and Sainte-Laguë; what a value cannot fill goes
    to the others. `uniform` wants as much of every value, `pool` what the pool has, a mapping its own weights, and
    nothing of what it does not name. A frame whose key is NULL serves no share: it is picked when nothing else is left.
    """

    key: str
    target: Target = "uniform"
    strength: Strength = 1.0

    def __post_init__(self) -> None:
        _expect_weights(self.target)

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return f"balance {self.key}"


class AreaBalance(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="area_balance"
):
    """Prefer frames that show the classes whose area the batch still lacks: balance, where a frame is of many values.

    The sum over the classes of the frame's area x wanted share / (2 x area the picks hold + 1).
    """

    areas: Annotated[str, Meta(description="A struct column with one number of 0 and more a class.")] = "area"
    target: Target = "uniform"
    strength: Strength = 1.0

    def __post_init__(self) -> None:
        _expect_weights(self.target)

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return f"balance {self.areas}"


Objective = Score | Diversity | Random | Similarity | Typicality | Balance | AreaBalance


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="cap"):
    """At most so many picks that share a value of a key (session_id, vehicle_id, metadata.city, any expression).

    A frame whose key is NULL shares it with no other frame: it is not capped.
    """

    key: str = "session_id"
    most: Annotated[int, Meta(ge=1)] = 10

    @property
    def name(self) -> str:
        """How the cap is called where it is reported."""
        return f"cap {self.key}"


class Gap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="gap"):
    """At least so many seconds, by captured_at, between any two picks that share a value of a key.

    A gap that cannot be measured is not kept: a frame without captured_at is no candidate, and is counted as left out.
    A frame whose key is NULL shares it with no other frame. For frames of several cameras of one drive, the key may be
    `concat(session_id, camera)`.
    """

    key: str = "session_id"
    least_s: Annotated[float, Meta(gt=0, le=1e9, description="Seconds, counted to the microsecond.")] = 1.0

    @property
    def name(self) -> str:
        """How the gap is called where it is reported."""
        return f"gap {self.key}"


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="quota"):
    """At least so many picks with one value of a key, as text; a quota that does not hold is named with what it lacks.

    Quotas come first: while one is owed and a feasible frame pays it, only frames that pay the most quotas are picked.
    """

    key: str
    value: str
    least: Annotated[int, Meta(ge=1)]

    @property
    def name(self) -> str:
        """How the quota is called where it is reported."""
        return f"quota {self.key} = {self.value}"


class Threshold(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="threshold"
):
    """Only frames whose value of an SQL expression is at least, at most, or between; both bounds are admitted."""

    expression: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        least, most = (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)
        if not least <= most or (least, most) == (-math.inf, math.inf):
            raise ValueError(f"threshold: expected least, most or both in order, got {self.least} and {self.most}")

    @property
    def name(self) -> str:
        """How the threshold is called where it is reported."""
        return f"threshold {self.expression}"


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="guard"):
    """Only frames at least so far, in the embedding, from every frame of a test set, so that none of it leaks.

    Every given frame has to be in the store with an embedding: a guard with a hole in it would be none.
    """

    frames: Annotated[tuple[str, ...], Meta(description="Files that name them, as for labelled frames.")] = ()
    sessions: Annotated[tuple[str, ...], Meta(description="Sessions all of whose frames are meant.")] = ()
    least: Annotated[float, Meta(gt=0, description="Euclidean distance.")]

    @property
    def name(self) -> str:
        """How the guard is called where it is reported."""
        return "guard"


Constraint = Cap | Gap | Quota | Threshold | Guard


class RoundRobin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Classes take turns, each giving the feasible frame with its own highest class score (NVIDIA 2020)."""

    score: Annotated[str, Meta(description="A struct column with one number a class.")] = "mutual_information.by_class"
    classes: Annotated[tuple[str, ...], Meta(description="Empty: every class of the ensemble.")] = ()


class Labelled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is labelled already: never picked again, and the first centres of diversity."""

    frames: Annotated[
        tuple[str, ...], Meta(description="Files with a frame_id a line, or with a column frame_id (CSV, Parquet).")
    ] = ()
    sessions: Annotated[tuple[str, ...], Meta(description="Whole sessions left out, such as the test set's.")] = ()


class SelectionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A labelling budget and how to spend it: greedy on the product of objective ** strength, within hard caps."""

    budget: Annotated[int, Meta(ge=1, description="How many frames to pick.")] = 100
    where: Annotated[str, Meta(description="SQL condition on the pool.")] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Decides what is drawn by lot.")] = 0
    labelled: Labelled = Labelled()
    objectives: tuple[Objective, ...] = (Score(), Diversity())
    constraints: tuple[Constraint, ...] = (Cap(),)
    round_robin: Annotated[RoundRobin, Meta(description="Instead of the objectives.")] | None = None

    def __post_init__(self) -> None:
        _expect_distinct("objectives", [objective.name for objective in self.objectives])
        _expect_distinct("constraints", [constraint.name for constraint in self.constraints])


def resolve_files(spec: SelectionSpec, folder: Path) -> SelectionSpec:
    """The same selection, with every file it names meant from a folder."""

    def resolve(entry: T) -> T:
        if not isinstance(entry, Labelled | Similarity | Guard):
            return entry
        return msgspec.structs.replace(entry, frames=tuple(str(folder / file) for file in entry.frames))

    return msgspec.structs.replace(
        spec,
        labelled=resolve(spec.labelled),
        objectives=tuple(map(resolve, spec.objectives)),
        constraints=tuple(map(resolve, spec.constraints)),
    )


def _expect_weights(target: Target) -> None:
    """Weights that sum to nothing, or to no number, are no shares."""
    if isinstance(target, dict) and not 0 < sum(target.values()) < math.inf:
        raise ValueError(f"target: expected weights with a finite sum above 0, got {target}")


def _expect_distinct(name: str, entries: Sequence[str]) -> None:
    """Two entries of one name could not be told apart in a receipt."""
    for entry in entries:
        if entries.count(entry) > 1:
            raise ValueError(f"{name}: expected {entry!r} once, got it {entries.count(entry)} times")


@dataclass(frozen=True, slots=True)
class Pick:
    """One picked frame and its receipt: why it was the best feasible one at that moment."""

    rank: int  # 1 is the first
    frame_id: str
    session_id: str
    uri: str
    value: float  # the product that was maximal
    factors: dict[str, float]  # objective ** strength at the time of the pick: by name of the objective, or class score
    nearest: str | None  # frame_id of the nearest earlier pick or labelled frame, where diversity is asked for
    distance: float | None  # Euclidean, to `nearest`
    turn: str | None  # the class whose turn it was, under round-robin
    room_left: dict[str, int]  # by cap key: how many more of this pick's value its cap admits after it
    # By key of a cap or gap: this pick's value; a NULL has no entry here, above or below.
    keys: dict[str, str] = field(default_factory=dict)
    apart_s: dict[str, float] = field(default_factory=dict)  # by gap key: to the nearest earlier pick of this value
    owed: dict[str, int] = field(default_factory=dict)  # by quota that this pick pays: what is owed after it


@dataclass(frozen=True, slots=True)
class Selection:
    """The picks in order, and what kept the budget from being met, if anything did."""

    spec: SelectionSpec
    ensemble_id: str
    pool_size: int  # candidates: frames of the store minus `left_out`
    picks: tuple[Pick, ...]
    shortfall: int  # budget minus picks
    blocked_by: dict[str, int]  # constraint -> candidates it alone kept out at the end, `a and b` -> only both together
    owed: dict[str, int] = field(default_factory=dict)  # quota that does not hold -> picks that it lacks
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> frames of the store that were no candidates
