"""Advice in plain words, in lines of a terminal's eighty columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from fleetsift.advice.advise import Advice

COLUMNS = 80
_LISTED = 5  # sensor frames that are named


def describe_advice(advice: Advice, source: str) -> str:
    """The advice as text; `source` is what was typed after the verb, a store or a configuration."""
    parts = (_pool(advice), _budgets(advice), _recommended(advice, source), _sensor(advice))
    return "\n\n".join("\n".join(part) for part in parts)


def _pool(advice: Advice) -> Iterator[str]:
    found = advice.redundancy
    sessions = _count(advice.pool_sessions, "session")
    yield f"{advice.pool_frames:,} frames of {sessions} in the pool of {advice.ensemble_id}"
    if advice.looked_at < advice.pool_frames:
        yield f"looked at {advice.looked_at:,} of them: whole sessions, drawn by a hash of their names"
    if found.within_sessions is not None:
        yield f"nearest frame of the same session: {found.within_sessions:.3g} away (median, in the embedding)"
    if found.between_sessions is not None:
        yield f"nearest frame of another session:  {found.between_sessions:.3g} away"
    yield from _wrap(
        f"{found.distinct:,} of {found.frames:,} frames are distinct: the others are nearer than "
        f"{found.alike_below:.3g} to one of them, a quarter of what two frames are typically apart."
    )


def _budgets(advice: Advice) -> Iterator[str]:
    found, quantity = advice.redundancy.budgets, advice.redundancy.quantity.replace("_", " ")
    strategies = list(dict.fromkeys(row.strategy for row in found))
    yield from _wrap(f"distinct frames among the picks, and their mean {quantity} in thousandths of a nat:")
    yield f"{'budget':>8}" + "".join(f"{name:>17}" for name in strategies)
    for budget in sorted({row.budget for row in found}):
        cells = [row for row in found if row.budget == budget]
        yield f"{budget:>8,}" + "".join(f"{row.distinct:>9,} {1000 * row.score:>7.1f}" for row in cells)


def _recommended(advice: Advice, source: str) -> Iterator[str]:
    chosen = advice.recommendation
    labelled = f" after {advice.labelled:,} labelled" if advice.labelled else ""
    pool = f"{chosen.share_distinct:.1%} of its frames are distinct: "
    budget = f"{advice.budget:,}{labelled} is {chosen.share_spent:.1%} of its distinct frames: "
    fleet = source if source.endswith((".yaml", ".yml")) else "fleet.yaml"
    yield f"Recommended: {chosen.strategy}"
    yield "  pool    " + pool + _side("redundant", "diverse", chosen.redundant, chosen.redundant_below)
    yield "  budget  " + budget + _side("small", "large", chosen.small_budget, chosen.small_below)
    yield from _wrap(f"That is {chosen.because}.")
    yield f"  fleetsift select {fleet} --strategy {chosen.strategy} --budget {advice.budget} --out batch"
    yield from _wrap(chosen.source)


def _side(below: str, above: str, is_below: bool, bound: float) -> str:  # noqa: FBT001 - which side of one bound
    return f"{below}, below {bound:.0%}" if is_below else f"{above}, not below {bound:.0%}"


def _sensor(advice: Advice) -> Iterator[str]:
    sensor = advice.sensor
    if advice.redundancy.quantity == "entropy":
        yield "Sensor list: none. One network has nobody to agree with."
        return
    if not sensor.count:
        yield from _wrap(
            "Sensor list: empty. No frame has an expected entropy in the pool's highest tenth of which mutual "
            "information is a smaller part than in half of the pool."
        )
        return
    yield from _wrap(
        f"Sensor list: {_count(sensor.count, 'frame')} of high expected entropy and low mutual information (rain on "
        "the lens, blur, glare?). The members are unsure and agree on it: labels settle little there. The first:"
    )
    for frame in sensor.frames[:_LISTED]:
        yield f"  {frame.frame_id}"
        yield (
            f"    expected entropy {frame.expected_entropy:.3g} nats, mutual information "
            f"{frame.mutual_information:.3g} nats"
        )
    yield "A selection leaves them out by the list (--sensor FILE), or by"
    yield f"  where: NOT ({sensor.condition})"


def _wrap(prose: str) -> list[str]:
    return textwrap.wrap(prose, COLUMNS, break_long_words=False, break_on_hyphens=False)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"
