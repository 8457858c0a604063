"""What deciding at once has cost: the worth of online picks beside those of greedy, which knew every frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from fleetsift.schemas.selection import Balance, Cap, Diversity, SelectionSpec
from fleetsift.selectors.online.arrivals import arrivals, new_since, read_given
from fleetsift.selectors.online.policy import DAY_US, Arrival, Pace
from fleetsift.selectors.online.shares import SharesSoFar
from fleetsift.selectors.select import select_batch
from fleetsift.store.views import ScoreStore

DAY = "CAST(date_trunc('day', captured_at) AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class Regret:
    """Two batches of the same frames under the same rules and the same budget a day."""

    frames: int
    days: int
    online: int  # picks
    offline: int
    online_worth: float
    offline_worth: float

    @property
    def ratio(self) -> float:
        """What online picks are worth, of what offline ones are; 1 where neither is worth anything."""
        return self.online_worth / self.offline_worth if self.offline_worth else 1.0


def measure_regret(store: ScoreStore, spec: SelectionSpec, pace: Pace, picked: Collection[str]) -> Regret:
    """Hold online picks against greedy on everything the store has now; raises what `select_batch` raises."""
    frames = {frame.frame_id: frame for frame in arrivals(store, spec, new_since(store, {}), read_given(store, spec))}
    days = len({frame.captured_us // DAY_US for frame in frames.values()})
    daily = msgspec.structs.replace(
        spec,
        budget=max(1, pace.per_day * days),
        constraints=(*spec.constraints, Cap(key=DAY, most=pace.per_day)),
        where=f"({spec.where or 'true'}\n) AND captured_at IS NOT NULL",
    )
    offline = [pick.frame_id for pick in select_batch(store, daily).picks]
    strength = next((o.strength for o in spec.objectives if isinstance(o, Diversity)), None)
    balances = [o for o in spec.objectives if isinstance(o, Balance)]
    ours, theirs = ([frames[frame_id] for frame_id in side if frame_id in frames] for side in (picked, offline))
    return Regret(
        *(len(frames), days, len(ours), len(theirs)),
        worth_together(ours, strength, balances),
        worth_together(theirs, strength, balances),
    )


def worth_together(frames: Sequence[Arrival], strength: float | None, balances: Sequence[Balance] = ()) -> float:
    """The sum of the products that greedy sees when it takes a set of frames one after the other, the best first."""
    scores = np.array([frame.score for frame in frames])
    if (strength is None and not balances) or not frames:
        return float(scores.sum())
    points = None if strength is None else np.array([frame.vector for frame in frames], np.float64)
    shares = [SharesSoFar(balance) for balance in balances]
    codes = [[one.code(frame.balanced[i]) for frame in frames] for i, one in enumerate(shares)]
    left, squared, total = np.ones(len(frames), np.bool_), np.full(len(frames), np.inf), 0.0
    for number in range(len(frames)):
        worths = scores if strength is None or number == 0 else scores * np.sqrt(squared) ** strength
        for one, of_frames in zip(shares, codes, strict=True):
            worths = worths * one.factors[of_frames]
        best = int(np.where(left, worths, -1.0).argmax())
        total += float(worths[best])
        left[best] = False
        for one, of_frames in zip(shares, codes, strict=True):
            one.pick(of_frames[best])
        if points is not None:
            squared = np.minimum(squared, ((points - points[best]) ** 2).sum(axis=1))
    return total
