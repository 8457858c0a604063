"""Which columns of a store a selection needs, and whether the store can give them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Diversity,
    Gap,
    Guard,
    Quota,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
)
from fleetsift.selectors.pools.expressions import NUMBERS, ScoredFrames, check_expression
from fleetsift.selectors.pools.labelled import read_labelled


@dataclass(frozen=True, slots=True)
class Needs:
    """Which columns a specification takes from the store."""

    scores: dict[str, str]  # expression -> the field that asks for it
    keys: dict[str, str]  # expression -> the field that asks for it
    class_scores: str | None
    areas: dict[str, str]  # expression -> the field that asks for it
    embedding: bool
    given: dict[str, tuple[frozenset[str], frozenset[str]]]  # objective or guard -> its frame_ids, its session_ids
    captured: bool

    def columns(self) -> str:
        """The end of a SELECT list. An expression that fails on a frame gives NULL there, and the frame is counted."""
        parts = [f"CAST(TRY(({text}\n)) AS DOUBLE) AS score_{i}" for i, text in enumerate(self.scores)]
        parts += [f"CAST(TRY(({text}\n)) AS VARCHAR) AS key_{i}" for i, text in enumerate(self.keys)]
        parts += [f"({self.class_scores}\n) AS class_scores"] if self.class_scores else []
        parts += [f"({text}\n) AS areas_{i}" for i, text in enumerate(self.areas)]
        parts += ["embedding"] if self.embedding else []
        parts += ["epoch_us(captured_at) AS captured_us"] if self.captured else []
        return "".join(f",\n    {part}" for part in parts)


def needs_of(spec: SelectionSpec) -> Needs:
    """What a specification asks of the frames; raises SelectionError where a file that it names cannot be read."""
    objectives = {} if spec.round_robin else {f"objectives[{i}]": o for i, o in enumerate(spec.objectives)}
    constraints = {f"constraints[{i}]": c for i, c in enumerate(spec.constraints)}
    entries = objectives | constraints
    guards = [entry for entry in constraints.values() if isinstance(entry, Guard)]
    return Needs(
        scores={
            entry.expression: f"selection.{field}.expression"
            for field, entry in entries.items()
            if isinstance(entry, Score | Threshold)
        },
        keys={
            entry.key: f"selection.{field}.key"
            for field, entry in entries.items()
            if isinstance(entry, Balance | Cap | Gap | Quota)
        },
        class_scores=spec.round_robin.score if spec.round_robin else None,
        areas={
            entry.areas: f"selection.{field}.areas"
            for field, entry in entries.items()
            if isinstance(entry, AreaBalance)
        },
        embedding=bool(guards) or any(isinstance(o, Diversity | Similarity | Typicality) for o in objectives.values()),
        given={
            entry.name: (read_labelled(entry.frames), frozenset[str]())
            for entry in objectives.values()
            if isinstance(entry, Similarity)
        }
        | {guard.name: (read_labelled(guard.frames), frozenset(guard.sessions)) for guard in guards},
        captured=any(isinstance(entry, Gap) for entry in constraints.values()),
    )


def check_needs(store: ScoredFrames, spec: SelectionSpec, needs: Needs) -> None:
    """Refuse every expression that is hostile, or has a value of the wrong kind."""
    expected: list[tuple[str, str, Collection[str], str]] = [
        *((field, text, NUMBERS, "a number") for text, field in needs.scores.items()),
        *([("selection.where", spec.where, {"boolean"}, "true or false")] if spec.where else []),
        *((field, text, {"struct"}, "a struct") for text, field in needs.areas.items()),
        *([("selection.round_robin.score", needs.class_scores, {"struct"}, "a struct")] if needs.class_scores else []),
    ]
    for field, text, kinds, wanted in expected:
        kind = check_expression(store, field, text)
        if kind not in kinds:
            remedy = "name one of its fields" if kind == "struct" else "name another expression"
            raise SelectionError(f"{field}: expected {wanted}, got {kind} from {text!r}; {remedy}")
    for text, field in needs.keys.items():
        check_expression(store, field, text)
