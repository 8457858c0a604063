"""How far a run is, as its supervisor knows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is: rows by status, references not yet scored, seconds, workers, and their restarts."""

    rows: dict[str, int]
    lag: int | None  # None until every worker has heard from the broker
    elapsed_s: float
    workers: int
    restarts: int
    sealed_offsets: int = 0  # in gaps that were noted and passed over; known at the end

    @property
    def frames(self) -> int:
        """Rows of any status."""
        return sum(self.rows.values())
