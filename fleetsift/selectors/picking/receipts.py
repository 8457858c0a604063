"""What is written down at a pick, the same for every way of picking."""

from __future__ import annotations

from fleetsift.schemas.selection import Pick
from fleetsift.selectors.constraints.rules import Admission
from fleetsift.selectors.pools.pool import Pool


def write_receipt(
    pool: Pool,
    row: int,
    rank: int,
    admission: Admission,
    value: float,
    *,
    factors: dict[str, float],
    nearest: str | None = None,
    distance: float | None = None,
    turn: str | None = None,
) -> Pick:
    """The receipt of a row that was admitted, by value and factors at the moment of the pick."""
    return Pick(
        rank=rank,
        frame_id=pool.frame_id[row].as_py(),
        session_id=pool.session_id[row].as_py(),
        uri=pool.uri[row].as_py(),
        value=value,
        factors=factors,
        nearest=nearest,
        distance=distance,
        turn=turn,
        room_left=admission.room_left,
        keys=admission.keys,
        apart_s=admission.apart_s,
        margins=admission.margins,
        owed=admission.owed,
    )
