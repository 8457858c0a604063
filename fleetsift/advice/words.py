"""Advice in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from fleetsift.advice.advise import Advice

_LISTED = 5  # sensor frames that are named


def describe_advice(advice: Advice, source: str) -> str:
    """The advice as text; `source` is what was typed after the verb, a store or a configuration."""
    return "\n".join([*_pool(advice), "", *_budgets(advice), "", *_recommended(advice, source), "", *_sensor(advice)])


def _pool(advice: Advice) -> Iterator[str]:
    found = advice.redundancy
    sessions = _count(advice.pool_sessions, "session")
    yield f"{advice.pool_frames:,} frames of {sessions} in the pool of {advice.ensemble_id}"
    if advice.looked_at < advice.pool_frames:
        yield f"looked at {advice.looked_at:,} of them: whole sessions, drawn by a hash of their names"
    if found.within_sessions is not None:
        yield f"nearest frame of the same session: {found.within_sessions:.3g} away (median, in the embedding)"
    if found.between_sessions is not None:
        yield f"nearest frame of another session: {found.between_sessions:.3g} away"
    share = f"{found.share_distinct:.0%}"
    kind = "redundant" if found.redundant else "diverse"
    yield (
        f"{found.distinct:,} of {found.frames:,} frames are distinct ({share}): the others are nearer than "
        f"{found.alike_below:.3g} to one of them, a quarter of what two frames are typically apart. The pool is {kind}."
    )


def _budgets(advice: Advice) -> Iterator[str]:
    found = advice.redundancy.budgets
    strategies = list(dict.fromkeys(row.strategy for row in found))
    yield "distinct frames of a budget, and their mean mutual information in thousandths of a nat:"
    yield f"{'budget':>8}" + "".join(f"{name:>18}" for name in strategies)
    for budget in sorted({row.budget for row in found}):
        cells = [row for row in found if row.budget == budget]
        yield f"{budget:>8,}" + "".join(f"{row.distinct:>9,} {1000 * row.mutual_information:>8.1f}" for row in cells)


def _recommended(advice: Advice, source: str) -> Iterator[str]:
    chosen = advice.recommendation
    size = "small" if chosen.small_budget else "large"
    labelled = f" after {advice.labelled:,} labelled" if advice.labelled else ""
    yield f"A budget of {advice.budget:,}{labelled} is {size} for this pool. Recommended: {chosen.strategy}."
    yield f"Because: {chosen.because}."
    fleet = source if source.endswith((".yaml", ".yml")) else "fleet.yaml"
    yield f"  fleetsift select {fleet} --strategy {chosen.strategy} --budget {advice.budget} --out batch"
    yield (
        "Rests on the figures above and on redundancy x budget as in Mittal et al. 2023 and Hacohen et al. 2022; their "
        "third question, whether training is semi-supervised, is not asked here."
    )


def _sensor(advice: Advice) -> Iterator[str]:
    sensor = advice.sensor
    if not sensor.count:
        yield "No frame is unsure for its sensor's sake: none has high expected entropy and low mutual information."
        return
    yield (
        f"{_count(sensor.count, 'frame')} of high expected entropy and low mutual information (rain on the lens, blur, "
        "glare?): labels settle little there. The first:"
    )
    for frame in sensor.frames[:_LISTED]:
        yield (
            f"  {frame.frame_id}  expected entropy {frame.expected_entropy:.3g}, mutual information "
            f"{frame.mutual_information:.3g}"
        )
    yield f"To leave them out of a selection: where: NOT ({sensor.condition})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"
