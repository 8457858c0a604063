"""Selections known by name: what each prefers; budget and constraints stay the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleetsift.schemas.selection.objectives import Balance, Diversity, Objective, Random, Score

StrategyName = Literal["random", "entropy", "bald", "equal", "coreset", "coral", "uniform-time", "round-robin"]


class RoundRobin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Classes take turns, each giving the feasible frame with its own highest class score (NVIDIA 2020)."""

    score: Annotated[str, Meta(description="A struct column with one number a class.")] = "mutual_information.by_class"
    classes: Annotated[tuple[str, ...], Meta(description="Empty: every class of the ensemble.")] = ()


# Every minute of driving once before any a second time, by lot: so weak a lot decides only between equal shares.
_EVERY_MINUTE = "session_id || ' ' || CAST(date_trunc('minute', captured_at) AS VARCHAR)"

STRATEGIES: Mapping[str, tuple[Objective, ...] | RoundRobin] = {
    "random": (Random(),),
    "entropy": (Score(expression="entropy.mean"),),
    "bald": (Score(expression="mutual_information.mean"),),  # Houlsby et al. 2011
    "equal": (Score(expression="equal.jensen_shannon"),),  # Golestaneh & Kitani 2020
    "coreset": (Diversity(),),  # k-center greedy, Sener & Savarese 2018
    "coral": (Score(expression="mutual_information.mean"), Diversity()),
    "uniform-time": (Balance(key=_EVERY_MINUTE), Random(strength=0.001)),
    "round-robin": RoundRobin(),  # Haussmann et al. 2020
}
