"""What was selected, with a receipt for each pick."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleetsift.schemas.selection.specification import SelectionSpec


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
    margins: dict[str, float] = field(default_factory=dict)  # by threshold or guard: how far from where it would shut
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
    # Quota that does not hold -> constraint, as in `blocked_by`, or `budget` -> candidates of its value that it kept
    # out; nothing where the pool holds no more of them.
    owed_for: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> frames of the store that were no candidates
    earlier: tuple[str, ...] = ()  # frame_ids of the rounds that this one continues, in the order of their picks
    uncounted: dict[str, int] = field(default_factory=dict)  # labelled or earlier -> frames the store cannot count
