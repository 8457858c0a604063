"""How much of the frames each class takes, in the pool and in the batch."""

from __future__ import annotations

from fleetsift.report.balances import describe_target
from fleetsift.report.facts import AreaRow, Areas
from fleetsift.report.pool import Pool, quote
from fleetsift.schemas.selection import Target

MOST_ROWS = 24  # classes

_MEANS = "SELECT {means} FROM pool"


def class_areas(pool: Pool, expression: str, target: Target | None = None) -> Areas | None:
    """The mean of every field of a struct column over pool and batch; None where the store has no such column.

    target: what an objective wants of these areas, if one does.
    """
    kinds = pool.fields(expression)
    if not kinds:
        return None
    fields = [f"x.{quote(name)}" for name in kinds]
    means = ", ".join(
        f"avg({field}), avg({field}) FILTER (WHERE picked), avg({field}) FILTER (WHERE picked_by_other)"
        for field in fields
    )
    found = [value or 0.0 for value in pool.ask_one(_MEANS.format(means=means), x=expression)]
    sides = {name: tuple(found[3 * i : 3 * i + 3]) for i, name in enumerate(kinds)}
    whole = sum(pool_mean for pool_mean, _, _ in sides.values())
    rows = [
        AreaRow(
            name,
            pool_mean,
            batch_mean,
            other_mean if pool.other else None,
            None if target is None else _wanted(name, target, pool_mean / whole if whole else 0.0, list(sides)),
        )
        for name, (pool_mean, batch_mean, other_mean) in sides.items()
    ]
    rows.sort(key=lambda row: (-max(row.pool, row.batch), row.name))
    return Areas(expression, tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS), describe_target(target))


def _wanted(name: str, target: Target, pool_share: float, names: list[str]) -> float:
    """The share of all area that a target wants of a class."""
    if target == "pool":
        return pool_share
    if not isinstance(target, dict):
        return 1 / len(names)
    total = sum(target.get(other, 0.0) for other in names)
    return target.get(name, 0.0) / total if total else 0.0
