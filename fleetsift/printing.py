"""Rows of an answer as a table for people, as JSON lines, or as CSV; read in pieces, however many there are."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from rich.console import Console

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_JSON = msgspec.json.Encoder(decimal_format="number")  # DuckDB's sums of integers are decimals
_ROWS_AT_ONCE = 10_000
_ROWS_IN_TABLE = 1_000


class TableFormat(StrEnum):
    """How rows are printed: `json` is one object a line."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def print_relation(relation: DuckDBPyRelation, style: TableFormat, out: TextIO = sys.stdout) -> None:
    """Print every row of a relation."""
    if style is TableFormat.TABLE:
        relation.show(max_rows=_ROWS_IN_TABLE, max_width=max(80, Console().width))
    elif style is TableFormat.JSON:
        out.writelines(_JSON.encode(row).decode() + "\n" for row in _rows(relation))
    else:
        writer = csv.writer(out)
        writer.writerow(relation.columns)
        writer.writerows([_cell(value) for value in row.values()] for row in _rows(relation))


def _rows(relation: DuckDBPyRelation) -> Iterator[dict[str, Any]]:
    for batch in relation.to_arrow_reader(_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _cell(value: Any) -> Any:
    """Lists and structs as JSON text, times as in JSON."""
    if isinstance(value, datetime):
        return value.isoformat()
    return _JSON.encode(value).decode() if isinstance(value, list | dict) else value
