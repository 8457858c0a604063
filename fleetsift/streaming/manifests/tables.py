"""Manifests with one frame a row: JSON lines, CSV and Parquet, read by the bytes or row groups of a part."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fleetsift.errors import SourceError
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.messages import bad_message
from fleetsift.streaming.manifests.places import Place
from fleetsift.streaming.manifests.references import FIELDS, row_reference
from fleetsift.streaming.manifests.rows import Index, Part

_BLOCK_BYTES = 1 << 20
_MOST_LINE_BYTES = 1 << 20  # Kafka's own default for a message
_BATCH_ROWS = 1024  # of Parquet, in memory at once

Cells = Mapping[str, Any] | str  # a row, or why it is none


@dataclass(frozen=True, slots=True)
class TextTable:
    """A manifest of lines; a part begins at a byte."""

    place: Place
    name: str
    rows: Callable[[BinaryIO, int], Iterator[tuple[int, Cells]]]  # each with the byte it begins at, from some byte on

    def index(self, rows_per_part: int) -> Index:
        """Read every line once."""
        look = self.look()
        with self.place.open(self.name) as file:
            digest = _digest(file)
            file.seek(0)
            begins, rows = [], 0
            for rows, (begin, _) in enumerate(self.rows(file, 0), start=1):
                if rows % rows_per_part == 1 or rows_per_part == 1:
                    begins.append(begin)
        return Index(digest, _parts(begins, rows, rows_per_part), look)

    def read(self, part: Part, topic: str, partition: int) -> Iterator[FrameRef]:
        """From the part's first byte on."""
        with self.place.open(self.name) as file:
            for offset, (_, cells) in enumerate(islice(self.rows(file, int(part.begin)), part.rows)):
                yield _reference(cells, Position(topic, partition, offset), self.place)

    def look(self) -> str:
        """Its size and when it was written."""
        return "{} {}".format(*self.place.facts(self.name))


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A Parquet manifest; a part begins at a row."""

    place: Place
    name: str

    def index(self, rows_per_part: int) -> Index:
        """Read every byte for the hash, and of the table itself its footer alone."""
        look = self.look()
        with self._opened() as (file, table):
            rows = table.metadata.num_rows
            file.seek(0)
            digest = _digest(file)
        return Index(digest, _parts(range(0, rows, rows_per_part), rows, rows_per_part), look)

    def read(self, part: Part, topic: str, partition: int) -> Iterator[FrameRef]:
        """From the row groups that hold the part; what they hold before it is skipped as columns."""
        begin, end = int(part.begin), int(part.begin) + part.rows
        with self._opened() as (_, table):
            groups, before = [], 0
            for group in range(table.num_row_groups):
                after = before + table.metadata.row_group(group).num_rows
                if before < end and after > begin:
                    groups.append((group, before))
                before = after
            first = groups[0][1] if groups else 0
            for batch in table.iter_batches(_BATCH_ROWS, row_groups=[group for group, _ in groups]):
                wanted = batch[max(0, begin - first) : max(0, end - first)]
                for row, cells in enumerate(wanted.to_pylist(), start=max(first, begin) - begin):
                    position = Position(topic, partition, row)
                    yield _reference({key: _with_zone(value) for key, value in cells.items()}, position, self.place)
                first += batch.num_rows
                if first >= end:
                    return

    def look(self) -> str:
        """Its size and when it was written."""
        return "{} {}".format(*self.place.facts(self.name))

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, pq.ParquetFile]]:
        try:
            with self.place.open(self.name) as file:
                yield file, pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise SourceError(f"{self.place.address(self.name)}: expected Parquet, {error}; mend the file") from error


def json_lines(file: BinaryIO, begin: int) -> Iterator[tuple[int, Cells]]:
    """JSON objects, one a line; empty lines are none."""
    for at, line, _ in _lines(file, begin):
        if line.isspace():
            continue
        try:
            yield at, msgspec.json.decode(_short(line), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield at, str(error)


def csv_rows(file: BinaryIO, begin: int) -> Iterator[tuple[int, Cells]]:
    """CSV below a line of names; a quoted cell may hold line ends, a cell that spells a number is one."""
    at = 0

    def text(start: int) -> Iterator[str]:
        nonlocal at
        for _, line, end in _lines(file, start):
            at = end
            yield line.decode(errors="surrogateescape")

    names = [name.removeprefix("\ufeff") for name in next(csv.reader(text(0)), [])]
    at = max(begin, at)
    reader = csv.reader(text(at), strict=True)
    while True:
        before = at
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield before, f"CSV: {error}"
            continue
        if cells is None:
            return
        if cells:
            yield before, _named(names, cells)


def _named(names: list[str], cells: list[str]) -> Cells:
    if len(cells) != len(names):
        return f"CSV: expected {len(names)} cells, got {len(cells)}"
    if any("\ud800" <= character <= "\udfff" for cell in cells if not cell.isascii() for character in cell):
        return "CSV: the row is not UTF-8"
    return {key: value if key in FIELDS else _literal(value) for key, value in zip(names, cells, strict=True)}


def _literal(text: str) -> Any:
    """A CSV cell as the number or truth value it spells, else as text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, float) and not math.isfinite(value):  # NaN and 1e999 are no JSON
        return text
    return value if isinstance(value, bool | int | float) else text


def _lines(file: BinaryIO, begin: int) -> Iterator[tuple[int, bytes, int]]:
    """Lines, each with the bytes it begins and ends at; of one that is too long the rest is passed over."""
    file.seek(begin)
    while line := file.readline(_MOST_LINE_BYTES + 1):
        end, more = begin + len(line), line
        while len(more) > _MOST_LINE_BYTES and not more.endswith(b"\n"):
            more = file.readline(_MOST_LINE_BYTES + 1)
            end += len(more)
        yield begin, line, end
        begin = end


def _short(line: bytes) -> bytes:
    if len(line) > _MOST_LINE_BYTES:
        raise msgspec.DecodeError(f"the line has more than {_MOST_LINE_BYTES} bytes")
    return line


def _reference(cells: Cells, position: Position, place: Place) -> FrameRef:
    return bad_message(position, cells) if isinstance(cells, str) else row_reference(cells, position, place)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _parts(begins: Any, rows: int, rows_per_part: int) -> tuple[Part, ...]:
    return tuple(Part(begin, min(rows_per_part, rows - i * rows_per_part)) for i, begin in enumerate(begins))


def _with_zone(value: Any) -> Any:
    """A timestamp column without a zone is UTC, as Parquet writers mean it."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
