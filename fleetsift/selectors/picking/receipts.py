"""What is written down at a pick, the same for every way of picking."""

from __future__ import annotations

from fleetsift.schemas.selection import Pick
from fleetsift.selectors.constraints.rules import Admission
from fleetsift.selectors.pools.pool import Pool


class Receipts:
    """Writes a receipt for one pick after the other, and numbers them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rank = 0

    def write(
        self,
        row: int,
        admission: Admission,
        value: float,
        *,
        factors: dict[str, float],
        nearest: str | None = None,
        distance: float | None = None,
        turn: str | None = None,
    ) -> Pick:
        """The next receipt: of a row that was admitted, by value and factors at the moment of the pick."""
        self._rank += 1
        return Pick(
            rank=self._rank,
            frame_id=self._pool.frame_id[row].as_py(),
            session_id=self._pool.session_id[row].as_py(),
            uri=self._pool.uri[row].as_py(),
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
