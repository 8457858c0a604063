"""Frames by the files that name them: those that are labelled already, or kept out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from fleetsift.errors import SelectionError

COLUMN = "frame_id"


def read_labelled(files: Iterable[str | Path], field: str = "selection.labelled.frames") -> frozenset[str]:
    """Read the frame_ids that files name.

    files: Parquet or CSV with a column `frame_id` (a batch that `select` wrote is one), by their suffix;
        anything else is text with one frame_id a line, blank lines ignored.
    field: what an error calls them.
    Raises SelectionError in one line where a file cannot be read or has no such column.
    """
    return frozenset(frame_id for file in files for frame_id in _read(Path(file), field))


def _read(path: Path, field: str) -> list[str]:
    try:
        if path.suffix == ".parquet":
            return _texts(pq.read_table(path, columns=[COLUMN]))
        if path.suffix == ".csv":
            as_text = pa.csv.ConvertOptions(include_columns=[COLUMN], column_types={COLUMN: pa.string()})
            return _texts(pa.csv.read_csv(path, convert_options=as_text))
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise SelectionError(
            f"{field}: expected {path} to be Parquet or CSV with a column {COLUMN}, or text with one "
            f"a line, got: {reason}; mend the file or the path"
        ) from error


def _texts(table: pa.Table) -> list[str]:
    return [text for text in pc.cast(table.column(COLUMN), pa.string()).to_pylist() if text]
