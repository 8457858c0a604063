"""What to select (YAML), and what was selected, with a receipt for each pick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

Strength = Annotated[float, Meta(ge=0, description="The exponent of this objective in the product.")]


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="score"):
    """Prefer frames with a high value of an SQL expression over the store's columns."""

    expression: str = "mutual_information.top"
    strength: Strength = 1.0


class Diversity(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="diversity"
):
    """Prefer frames far from everything picked or labelled: Euclidean distance to the nearest in the embedding."""

    strength: Strength = 1.0


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="cap"):
    """At most so many picks that share a value of a key (session_id, vehicle_id, metadata.city, any expression)."""

    key: str = "session_id"
    most: Annotated[int, Meta(ge=1)] = 10


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
    labelled: Labelled = Labelled()
    objectives: tuple[Score | Diversity, ...] = (Score(), Diversity())
    constraints: tuple[Cap, ...] = (Cap(),)
    round_robin: RoundRobin | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pick:
    """One picked frame and its receipt: why it was the best feasible one at that moment."""

    rank: int  # 1 is the first
    frame_id: str
    session_id: str
    uri: str
    value: float  # the product that was maximal
    factors: dict[str, float]  # every objective ** strength at the time of the pick, by name
    nearest: str | None  # frame_id of the nearest earlier pick or labelled frame, where diversity is asked for
    distance: float | None  # Euclidean, to `nearest`
    turn: str | None  # the class whose turn it was, under round-robin
    room_left: dict[str, int]  # by cap key: how many more of this pick's value its cap admits after it


@dataclass(frozen=True, slots=True)
class Selection:
    """The picks in order, and what kept the budget from being met, if anything did."""

    spec: SelectionSpec
    ensemble_id: str
    pool_size: int  # candidates after filter and exclusions
    picks: tuple[Pick, ...]
    shortfall: int  # budget minus picks
    blocked_by: dict[str, int]  # constraint -> candidates it alone kept out at the end
