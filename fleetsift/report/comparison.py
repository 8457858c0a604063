"""One batch beside another of the same store: what they share, and what was asked differently."""

from __future__ import annotations

from typing import Any

import msgspec

from fleetsift.report.facts import Comparison
from fleetsift.report.pool import Pool
from fleetsift.schemas.selection import SelectionSpec

MOST_NAMED = 12  # picks of the other batch that are named


def comparison(pool: Pool, name: str) -> Comparison | None:
    """What the other batch of a pool has in common with its own; None where there is no other."""
    if pool.other is None:
        return None
    ours, theirs = ([pick.frame_id for pick in side.picks] for side in (pool.selection, pool.other))
    common = set(ours) & set(theirs)
    only = [frame_id for frame_id in theirs if frame_id not in common]
    (known,) = pool.ask_one("SELECT count(*) FROM pool WHERE picked_by_other")
    differences = _differences(pool.selection.spec, pool.other.spec)
    return Comparison(
        name, len(theirs), len(common), tuple(only[:MOST_NAMED]), len(only), len(theirs) - known, differences
    )


def _differences(ours: SelectionSpec, theirs: SelectionSpec) -> tuple[tuple[str, str, str], ...]:
    """The fields in which two specifications differ, as JSON."""
    fields = [field.name for field in msgspec.structs.fields(SelectionSpec)]
    pairs = {name: (_json(getattr(ours, name)), _json(getattr(theirs, name))) for name in fields}
    return tuple((name, here, there) for name, (here, there) in pairs.items() if here != there)


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
