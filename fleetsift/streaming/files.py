"""References from files: a folder of images, or a manifest (JSONL, CSV, Parquet) with one frame a row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from fleetsift.errors import SourceError
from fleetsift.schemas.messages import FrameMessage

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_FIELDS = frozenset(FrameMessage.__struct_fields__)


def read_references(path: Path) -> Iterator[FrameMessage]:
    """The frames a folder or manifest announces, in order.

    In a folder each image is a frame named by its path, and the folder it lies in is its session. In a manifest the
    message's fields are columns, every other column is metadata, and a relative uri starts at the manifest's folder.
    Raises SourceError, naming the row, for what is no reference.
    """
    if path.is_dir():
        return _from_folder(path)
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    if not path.is_file() or path.suffix not in readers:
        expected = ", ".join(sorted(readers))
        raise SourceError(f"{path}: expected a folder of images or a manifest ({expected}); mend the path")
    return _from_rows(path, readers[path.suffix](path))


def _from_folder(folder: Path) -> Iterator[FrameMessage]:
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise SourceError(f"{folder}: expected JPEG or PNG images, found none; mend the path")
    for image in images:
        name = image.relative_to(folder)
        session = name.parent.as_posix() if name.parent != Path() else folder.resolve().name
        yield FrameMessage(frame_id=name.with_suffix("").as_posix(), session_id=session, uri=str(image.resolve()))


def _from_rows(path: Path, rows: Iterator[Mapping[str, Any]]) -> Iterator[FrameMessage]:
    for number, row in enumerate(rows, start=1):
        known = {key: value for key, value in row.items() if key in _FIELDS and value not in (None, "")}
        metadata = {key.removeprefix("metadata."): value for key, value in row.items() if key not in _FIELDS}
        known["metadata"] = metadata | (known.get("metadata") or {})
        try:
            message = msgspec.convert(known, FrameMessage)
        except msgspec.ValidationError as error:
            raise SourceError(f"{path} row {number}: {str(error).replace('`', '')}; mend the row") from error
        yield msgspec.structs.replace(message, uri=_absolute(message.uri, path.parent))


def _absolute(uri: str, folder: Path) -> str:
    return uri if "://" in uri else str((folder / uri).resolve())


def _jsonl_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield msgspec.json.decode(line, type=dict[str, Any])
                except msgspec.MsgspecError as error:
                    raise SourceError(
                        f"{path} line {number}: expected a JSON object, {error}; mend the line"
                    ) from error


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {key: value if key in _FIELDS else _literal(value) for key, value in row.items()}


def _literal(text: str) -> Any:
    """A CSV cell as the number or truth value it spells, else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            yield {key: _with_zone(value) for key, value in row.items()}


def _with_zone(value: Any) -> Any:
    """A timestamp column without a zone is UTC, as Parquet writers mean it."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
