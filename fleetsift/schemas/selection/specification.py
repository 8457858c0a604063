"""What to select, as YAML and Python say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from fleetsift.schemas.selection.constraints import Cap, Constraint, Guard
from fleetsift.schemas.selection.objectives import Diversity, Objective, Score, Similarity

T = TypeVar("T")


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


def _expect_distinct(name: str, entries: Sequence[str]) -> None:
    """Two entries of one name could not be told apart in a receipt."""
    for entry in entries:
        if entries.count(entry) > 1:
            raise ValueError(f"{name}: expected {entry!r} once, got it {entries.count(entry)} times")
