"""What a selection may prefer: each a factor of the product that greedy makes as large as it can."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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
    called: Annotated[str, Meta(description="Tells one similarity from another in receipts.")] = ""
    strength: Strength = 1.0

    @property
    def name(self) -> str:
        """How its factor is called in a receipt."""
        return f"similarity {self.called}".rstrip()


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


def _expect_weights(target: Target) -> None:
    """Weights that sum to nothing, or to no number, are no shares."""
    if isinstance(target, dict) and not 0 < sum(target.values()) < math.inf:
        raise ValueError(f"target: expected weights with a finite sum above 0, got {target}")
