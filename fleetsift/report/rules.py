"""What the constraints beside caps did: gaps, thresholds, guards and quotas, in words, and whether they bound."""

from __future__ import annotations

from collections.abc import Mapping

from fleetsift.report.facts import RuleFacts
from fleetsift.report.pool import Pool
from fleetsift.report.wording import name, number
from fleetsift.schemas.selection import Constraint, Gap, Guard, Quota, Selection, Threshold


def rule_facts(pool: Pool, rule: Constraint) -> RuleFacts | None:
    """The facts of one constraint; None for a cap, which has more to show."""
    selection = pool.selection
    if isinstance(rule, Gap):
        return RuleFacts(
            _gap_title(rule), _kept_out(selection, rule) + _nearest(selection, rule), _binds(selection, rule)
        )
    if isinstance(rule, Threshold):
        return RuleFacts(_threshold_title(rule), _kept_out(selection, rule), _binds(selection, rule))
    if isinstance(rule, Guard):
        title = f"At least {number(rule.least)} away from every frame of the test set"
        return RuleFacts(title, _kept_out(selection, rule), _binds(selection, rule))
    if isinstance(rule, Quota):
        return _quota(pool, rule)
    return None


def kept_out(selection: Selection, rule: str) -> tuple[int, int]:
    """How many candidates a rule kept out at the end, and how many of them it alone."""
    together = sum(
        count for names, count in selection.blocked_by.items() if f" and {rule} and " in f" and {names} and "
    )
    return together, selection.blocked_by.get(rule, 0)


def _kept_out(selection: Selection, rule: Constraint) -> str:
    together, alone = kept_out(selection, rule.name)
    if not together:
        return "It kept nobody out: the batch would be the same without."
    frames = "frame" if together == 1 else "frames"
    shared = "all" if not alone else f"{together - alone:,}"
    also = "" if alone == together else f", {shared} of them together with other rules"
    return f"It kept out {together:,} {frames}{also}."


def _binds(selection: Selection, rule: Constraint) -> bool:
    return kept_out(selection, rule.name)[1] > 0


def _gap_title(gap: Gap) -> str:
    return f"At least {number(gap.least_s)} s between picks of one {name(gap.key).lower()}"


def _nearest(selection: Selection, gap: Gap) -> str:
    """How close picks came all the same."""
    apart = [pick.apart_s[gap.key] for pick in selection.picks if gap.key in pick.apart_s]
    return f" The two picks nearest in time are {number(min(apart))} s apart." if apart else ""


def _threshold_title(rule: Threshold) -> str:
    what = name(rule.expression)
    if rule.least is None or rule.most is None:
        return (
            f"{what} at {'most' if rule.least is None else 'least'} {rule.most if rule.least is None else rule.least:g}"
        )
    return f"{what} from {rule.least:g} to {rule.most:g}"


def _quota(pool: Pool, quota: Quota) -> RuleFacts:
    counted = "SELECT count(*), count(*) FILTER (WHERE picked) FROM pool WHERE x::VARCHAR = $5"
    held, picked = pool.ask_one(counted, quota.value, x=quota.key)
    before = pool.counted_before("quotas", quota.key).get(quota.value, 0)
    also = f" after {before:,} that count from before" if before else ""
    title = f"At least {quota.least:,} of {name(quota.key).lower()} {quota.value}"
    lacks = pool.selection.owed.get(quota.name, 0)
    if lacks:
        why = _unpaid(pool.selection.owed_for.get(quota.name, {}))
        return RuleFacts(title, f"It lacks {lacks:,}: {picked:,} were picked{also}, {why}.", binding=True)
    outcome = f"It holds: {picked:,} were picked of the pool's {held:,}{also}."
    return RuleFacts(title, outcome, binding=picked > 0 and picked + before == quota.least)


def _unpaid(by: Mapping[str, int]) -> str:
    """What kept a quota's frames out, or that there are no more."""
    said = [
        f"the budget ended before {count:,} more" if rule == "budget" else f"{rule} kept out {count:,}"
        for rule, count in by.items()
    ]
    return " and ".join(said) or "and the pool holds no more"
