"""What a selection may say in SQL: one expression over one frame's columns that has the same value every time.

Three walls, each enough for what it is for. DuckDB's own parser gives the syntax tree, and a tree with anything
beside one expression of an allowed kind is refused: no second statement, subquery, window, parameter or star. Every
function must be one that DuckDB calls scalar and consistent: no `read_text`, `random` or `now`, and no aggregate, which
would make a frame's value depend on its pool. And the store's connection reads its own folder only, takes nothing
but SELECT, and has its settings locked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Protocol

from fleetsift.errors import QueryError, SelectionError
from fleetsift.schemas.selection import SelectionSpec, Unit


class Rows(Protocol):
    """What a query answers; DuckDB's relation is one."""

    @property
    def types(self) -> Sequence[Any]: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...

    def to_arrow_table(self) -> Any: ...

    def to_arrow_reader(self, batch_size: int) -> Any: ...


class ScoredFrames(Protocol):
    """Scored frames that SQL can be asked about, in a view `frames` with one row a `unit`; the score store is one."""

    @property
    def ensemble_id(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def unit(self) -> Unit: ...

    def sql(self, query: str, params: Sequence[object] | None = None) -> Rows: ...


MOST_CHARACTERS = 4_000  # beyond what people write lies what takes DuckDB's parser long to refuse
DEEPEST = 50

NUMBERS = frozenset(
    [
        *("tinyint", "smallint", "integer", "bigint", "hugeint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
        *("float", "double", "decimal"),
    ]
)

# Columns that a store has only where the ensemble file asks for them.
_SCORED_WHERE_ASKED = {
    "equal": "write `views: [identity, hflip]` in the ensemble file and score again, or name another score",
    "objects": "write `boxes` in the ensemble file and score again, or name another score",
}

_ALLOWED = frozenset(
    [
        *("COLUMN_REF", "CONSTANT", "FUNCTION", "LAMBDA", "CAST", "TYPE", "COLLATE"),
        *("OPERATOR", "COMPARISON", "CONJUNCTION", "BETWEEN", "CASE"),
    ]
)
_CONSISTENT = """
SELECT function_name FROM duckdb_functions() GROUP BY function_name
HAVING bool_and(function_type = 'scalar' AND stability = 'CONSISTENT')
    OR bool_and(function_type = 'macro') AND (starts_with(function_name, 'list_') OR function_name IN ('if', 'nullif'))
"""
_KEYWORDS = frozenset(  # of SQL's own: they look like columns and change with the day or the user
    [
        *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
        *("user", "current_user", "session_user", "current_role", "current_catalog", "current_schema"),
    ]
)


def check_unit(store: ScoredFrames, spec: SelectionSpec) -> None:
    """Refuse to pick regions from a view of frames, or frames from one of regions; raises SelectionError."""
    if spec.unit != store.unit:
        raise SelectionError(
            f"selection.unit: expected {store.unit}, of which the store was opened, got {spec.unit}; open it with "
            f"ScoreStore(path, {spec.unit!r})"
        )


def check_expression(store: ScoredFrames, field: str, text: str) -> str:
    """Refuse text that is not one expression over a frame's columns; returns DuckDB's name of its type, in lower case.

    field: where the text stands, such as `selection.where`.
    Raises SelectionError in one line that names the field.
    """
    depth = max(accumulate((char in "([{") - (char in ")]}") for char in text), default=0)
    if len(text) > MOST_CHARACTERS or depth > DEEPEST:
        expected = f"at most {MOST_CHARACTERS} characters and {DEEPEST} brackets in each other"
        raise SelectionError(f"{field}: expected {expected}, got {len(text)} and {depth}; simplify it")
    expression = _parse(store, field, text)
    names = {name for (name,) in store.sql(_CONSISTENT).fetchall()}
    for node in _nodes(expression):
        kind, function = node["class"], node.get("function_name")
        if kind not in _ALLOWED:
            raise _refusal(field, text, f"a {kind.lower().replace('_', ' ')}")
        if kind == "FUNCTION" and function not in names:
            raise _refusal(field, text, f"{function}(), which is no function of one frame alone")
        if kind == "COLUMN_REF" and node["column_names"][0].lower() in _KEYWORDS:
            raise _refusal(field, text, f"{node['column_names'][0]}, which changes")
    try:
        return str(store.sql(_select(text)).types[0].id)
    except QueryError as error:
        for node in _nodes(expression):
            if node["class"] == "COLUMN_REF" and (remedy := _SCORED_WHERE_ASKED.get(node["column_names"][0].lower())):
                was = f"{store.ensemble_id} was scored without"
                raise SelectionError(f"{field}: expected a store with {text[:100]}, {was}; {remedy}") from error
        raise SelectionError(f"{field}: {text[:100]!r} has no value for a frame, {error}") from error


def _parse(store: ScoredFrames, field: str, text: str) -> Any:
    """The tree of one expression; what stands around it has to come out as it does around a plain 1."""
    try:
        tree, plain = _tree(store, text), _tree(store, "1")
    except RecursionError as error:
        raise _refusal(field, text, "one nested too deep") from error
    if tree["error"]:
        raise _refusal(field, text, " ".join(tree["error_message"].split()))
    select, pattern = tree["statements"], plain["statements"]
    expressions = select[0]["node"].pop("select_list", [])
    pattern[0]["node"].pop("select_list")
    if _without_places(select) != _without_places(pattern) or len(expressions) != 1 or expressions[0]["alias"]:
        raise _refusal(field, text, "more than an expression")
    if len(list(_nodes(expressions))) == 1 and expressions[0].get("function_name") == "row":
        raise _refusal(field, text, "nothing")  # to DuckDB, empty brackets are a row without fields
    return expressions[0]


def _tree(store: ScoredFrames, text: str) -> Any:
    """The syntax tree of a query for the text's value; the text is bound, so it is parsed and never run."""
    return json.loads(store.sql("SELECT json_serialize_sql($1)", [_select(text)]).fetchall()[0][0])


def _select(text: str) -> str:
    return f"SELECT ({text}\n) FROM frames"  # noqa: S608 - the line break ends a comment in the text


def _without_places(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_places(value) for key, value in tree.items() if not key.startswith("query_location")}
    return [_without_places(value) for value in tree] if isinstance(tree, list) else tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in the tree, however deep."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class" in part:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _refusal(field: str, text: str, found: str) -> SelectionError:
    return SelectionError(
        f"{field}: expected one SQL expression over the columns of a frame, got {found} in {text[:100]!r}; "
        "write it with columns, operators and plain functions"
    )
