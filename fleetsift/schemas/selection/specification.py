"""What to select, as YAML and Python say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from fleetsift.schemas.selection.constraints import Cap, Constraint, Guard
from fleetsift.schemas.selection.objectives import Diversity, Objective, Score, Similarity
from fleetsift.schemas.selection.strategies import STRATEGIES, RoundRobin, StrategyName

T = TypeVar("T")
Counting = Literal["balance", "caps", "gaps", "quotas"]
Unit = Literal["frame", "region"]


class Labelled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is labelled already: never picked again, and the first centres of diversity.

    What else they count in is the curator's choice: in the shares of a balance they do, for the whole training set is
    to be balanced; in caps, gaps and quotas they do not, unless asked, for those are promises about the batch.
    """

    frames: Annotated[
        tuple[str, ...], Meta(description="Files with a frame_id a line, or with a column frame_id (CSV, Parquet).")
    ] = ()
    sessions: Annotated[tuple[str, ...], Meta(description="Whole sessions left out, such as the test set's.")] = ()
    counts_in: Annotated[
        tuple[Counting, ...], Meta(description="Where labelled frames count beside the picks, besides diversity.")
    ] = ("balance",)


class SelectionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A labelling budget and how to spend it: greedy on the product of objective ** strength, within hard caps.

    A strategy becomes the objectives, or the round-robin, that it stands for: what is kept says what was meant.
    """

    budget: Annotated[int, Meta(ge=1, description="How many frames to pick.")] = 100
    unit: Annotated[Unit, Meta(description="What is picked: whole frames, or cells of their grids.")] = "frame"
    where: Annotated[str, Meta(description="SQL condition on the pool.")] | None = None
    exclude: Annotated[
        tuple[str, ...], Meta(description="Files that name frames to keep out, such as advise's sensor list.")
    ] = ()
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Decides what is drawn by lot.")] = 0
    labelled: Labelled = Labelled()
    continues: Annotated[
        tuple[str, ...], Meta(description="Folders of earlier batches; their picks count as if they were this one's.")
    ] = ()
    strategy: Annotated[StrategyName, Meta(description="Instead of objectives: their name.")] | None = None
    objectives: tuple[Objective, ...] = (Score(), Diversity())
    constraints: tuple[Constraint, ...] = (Cap(),)
    round_robin: Annotated[RoundRobin, Meta(description="Instead of the objectives.")] | None = None

    def __post_init__(self) -> None:
        if self.strategy is not None:
            _adopt(self, self.strategy)
        _expect_distinct("objectives", [objective.name for objective in self.objectives])
        _expect_distinct("constraints", [constraint.name for constraint in self.constraints])


def with_strategy(spec: SelectionSpec, name: str) -> SelectionSpec:
    """The same selection with a strategy in place of its objectives or its round-robin."""
    return msgspec.structs.replace(spec, strategy=name, objectives=_NO_CHOICE, round_robin=None)


def resolve_files(spec: SelectionSpec, folder: Path) -> SelectionSpec:
    """The same selection, with every file and folder it names meant from a folder."""

    def resolve(entry: T) -> T:
        if not isinstance(entry, Labelled | Similarity | Guard):
            return entry
        return msgspec.structs.replace(entry, frames=tuple(str(folder / file) for file in entry.frames))

    return msgspec.structs.replace(
        spec,
        exclude=tuple(str(folder / file) for file in spec.exclude),
        labelled=resolve(spec.labelled),
        continues=tuple(str(folder / batch) for batch in spec.continues),
        objectives=tuple(map(resolve, spec.objectives)),
        constraints=tuple(map(resolve, spec.constraints)),
    )


_NO_CHOICE: tuple[Objective, ...] = (Score(), Diversity())  # what stands in a specification that chooses nothing


def _adopt(spec: SelectionSpec, name: str) -> None:
    """Put what a strategy stands for in its place, while the specification is being made."""
    if name not in STRATEGIES:
        raise ValueError(f"strategy: expected one of {', '.join(STRATEGIES)}, got {name!r}; choose one")
    if spec.objectives != _NO_CHOICE or spec.round_robin is not None:
        raise ValueError(f"strategy: expected no objectives and no round_robin beside {name}, got some; name one")
    chosen = STRATEGIES[name]
    if isinstance(chosen, RoundRobin):
        msgspec.structs.force_setattr(spec, "round_robin", chosen)
    else:
        msgspec.structs.force_setattr(spec, "objectives", chosen)
    msgspec.structs.force_setattr(spec, "strategy", None)


def _expect_distinct(name: str, entries: Sequence[str]) -> None:
    """Two entries of one name could not be told apart in a receipt."""
    for entry in entries:
        if entries.count(entry) > 1:
            raise ValueError(f"{name}: expected {entry!r} once, got it {entries.count(entry)} times")
