"""The pool of a selection as SQL sees it: the candidates, each with `picked`, `picked_by_other`
and one expression `x` beside its columns.

Everything is aggregated in DuckDB, so a pool of millions costs a few rows. Values are bound. What becomes part of a
query, here and nowhere else, is the selection's own SQL (its filter, its cap keys) and names of the store's columns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from fleetsift.schemas.scores import RankingQuantity, ranking_quantity
from fleetsift.schemas.selection import Counting, Selection
from fleetsift.selectors.pools.judging import NAMED
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.store.views import ScoreStore

Row = tuple[Any, ...]

_POOL = """
WITH pool AS (
    SELECT *, frame_id IN (SELECT unnest($1::VARCHAR[])) AS picked,
        frame_id IN (SELECT unnest($4::VARCHAR[])) AS picked_by_other, ({x}
    ) AS x
    FROM frames
    WHERE ({where}
    ) AND NOT list_contains($2::VARCHAR[], session_id) AND NOT {absent}
)
"""
_COUNTED_BEFORE = """
SELECT ({x}
)::VARCHAR AS value, count(*) FROM frames WHERE frame_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY value
"""


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one selection, which of them were picked, and which by another selection."""

    store: ScoreStore
    selection: Selection
    labelled: Collection[str] = ()  # frame_ids that were no candidates, as they were labelled before
    excluded: Collection[str] = ()  # frame_ids that were to be left out
    other: Selection | None = None  # what the batch is compared with

    @classmethod
    def of(cls, store: ScoreStore, selection: Selection, other: Selection | None = None) -> Pool:
        """The pool of a selection; raises SelectionError where a file that it names frames by cannot be read."""
        labelled = read_labelled(selection.spec.labelled.frames)
        excluded = read_labelled(selection.spec.exclude, "selection.exclude")
        return cls(store, selection, labelled, excluded, other)

    def ask(self, query: str, *values: object, x: str = "NULL") -> list[Row]:
        """The rows of a SELECT over the relation `pool`, with values bound to $5 and on; raises QueryError."""
        spec = self.selection.spec
        picks = [pick.frame_id for pick in self.selection.picks]
        theirs = [pick.frame_id for pick in self.other.picks] if self.other else []
        absent = [*self.labelled, *self.excluded, *self.selection.earlier]
        bound: Sequence[object] = (picks, list(spec.labelled.sessions), absent, theirs, *values)
        return self.store.sql(self._relation(x) + query, bound).fetchall()

    def quantity(self) -> RankingQuantity:
        """What its frames are ranked by."""
        (members,) = self.ask_one("SELECT coalesce(max(members), 0) FROM pool")
        return ranking_quantity(members)

    def counted_before(self, where: Counting, x: str) -> dict[str | None, int]:
        """How many frames of each value of an expression count beside the picks: earlier rounds', and labelled ones."""
        names = [*self.selection.earlier, *(self.labelled if where in self.selection.spec.labelled.counts_in else ())]
        return dict(self.store.sql(_COUNTED_BEFORE.format(x=x), [names]).fetchall())

    def _relation(self, x: str) -> str:
        spec = self.selection.spec
        return _POOL.format(where=spec.where or "true", x=x, absent=NAMED[spec.unit].format(names="$3"))

    def ask_one(self, query: str, *values: object, x: str = "NULL") -> Row:
        """The only row of such a SELECT."""
        (row,) = self.ask(query, *values, x=x)
        return row

    def fields(self, column: str) -> dict[str, str]:
        """The fields of a struct column and their DuckDB types; none where there is no such column."""
        relation = self.store.sql("SELECT * FROM frames LIMIT 0")
        kind = dict(zip(relation.columns, relation.types, strict=True)).get(column)
        return {name: str(child) for name, child in kind.children} if kind is not None and kind.id == "struct" else {}

    def metadata(self) -> dict[str, str]:
        """The SQL expression of every declared metadata key, and its DuckDB type."""
        return {f"metadata.{quote(name)}": kind for name, kind in self.fields("metadata").items()}


def quote(name: str) -> str:
    """A column name as an SQL identifier; plain words stay as an analyst types them."""
    plain = name.isascii() and name.isidentifier() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'
