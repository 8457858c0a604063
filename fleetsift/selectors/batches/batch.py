"""A batch on disk: its rows for machines (batch.parquet) and people (batch.csv), and what they rest on (batch.json).

No time and no machine stands in it: the same selection gives the same bytes. batch.json is written last and holds the
hashes of the other two, so a folder is a batch from the moment it is there, and a torn one is noticed.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Pick, Selection, SelectionSpec
from fleetsift.selectors.batches.boxes import Box, split_box

MANIFEST = "batch.json"
ROWS = "batch.parquet"
TEXT = "batch.csv"
EARLIER = "earlier.parquet"  # where the selection continues others: the frame_ids of their picks, in order

Snapshot = dict[str, dict[str, int]]

# Prefixes of columns that are named by an expression.
_FACTOR, _KEY, _ROOM_LEFT, _APART, _MARGIN, _OWED = "factor ", "key ", "room_left ", "apart_s ", "margin ", "owed "


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What batch.json says: on which frames, by which rules and by which program the rows came about."""

    fleetsift: str  # version
    ensemble_id: str
    spec: SelectionSpec
    snapshot: Snapshot  # the store's chain ends: topic@id -> partition -> the offset its rows reach to
    pool_size: int
    left_out: dict[str, int]
    picked: int
    shortfall: int
    blocked_by: dict[str, int]
    owed: dict[str, int]
    owed_for: dict[str, dict[str, int]] = {}
    uncounted: dict[str, int] = {}
    sha256: dict[str, str]  # file name -> hash


def write_batch(folder: Path, selection: Selection, snapshot: Snapshot, *, overwrite: bool = False) -> None:
    """Write a selection as a batch folder; the same batch may be written again.

    Raises SelectionError where another batch is there and `overwrite` is not asked for, or the disk refuses.
    """
    files = batch_files(selection, snapshot)
    try:
        found = folder / MANIFEST
        if found.exists() and not overwrite and found.read_bytes() != files[MANIFEST]:
            raise SelectionError(
                f"{folder}: expected no other batch there, found one; choose another folder, or --overwrite it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        found.unlink(missing_ok=True)  # until the new manifest is there the folder is no batch
        if EARLIER not in files:
            (folder / EARLIER).unlink(missing_ok=True)
        for name, data in files.items():
            replace_file(folder / name, data)
    except OSError as error:
        raise SelectionError(
            f"{folder}: cannot be written, {error.strerror}; nothing of it counts as a batch"
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """What a batch rests on; raises SelectionError where there is no batch."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        got = error.strerror if isinstance(error, OSError) else error
        raise SelectionError(
            f"{folder}: expected a batch, got {got} ({MANIFEST}); `fleetsift select` writes one"
        ) from error


def read_batch(folder: Path) -> Selection:
    """Read a batch folder; raises SelectionError where there is none, or its rows are not those its manifest names."""
    manifest = read_manifest(folder)
    try:
        data = {name: (folder / name).read_bytes() for name in (ROWS, EARLIER) if name in manifest.sha256}
    except OSError as error:
        raise SelectionError(f"{folder}: expected a batch, {error}; select it again") from error
    for name, found in data.items():
        if hashlib.sha256(found).hexdigest() != manifest.sha256[name]:
            raise SelectionError(
                f"{folder / name}: expected the bytes that {MANIFEST} names, got others; select it again"
            )
    return Selection(
        spec=manifest.spec,
        ensemble_id=manifest.ensemble_id,
        pool_size=manifest.pool_size,
        picks=tuple(_pick(row) for row in pq.read_table(io.BytesIO(data[ROWS])).to_pylist()),
        shortfall=manifest.shortfall,
        blocked_by=manifest.blocked_by,
        owed=manifest.owed,
        owed_for=manifest.owed_for,
        left_out=manifest.left_out,
        earlier=tuple(pq.read_table(io.BytesIO(data[EARLIER]))["frame_id"].to_pylist()) if EARLIER in data else (),
        uncounted=manifest.uncounted,
    )


def batch_table(picks: Sequence[Pick]) -> Any:
    """The picks as an Arrow table, one row each; what has a name of its own is a column with a prefix."""
    return pa.table(
        {
            "rank": pa.array([pick.rank for pick in picks], pa.int64()),
            "frame_id": pa.array([pick.frame_id for pick in picks], pa.string()),
            "session_id": pa.array([pick.session_id for pick in picks], pa.string()),
            "uri": pa.array([pick.uri for pick in picks], pa.string()),
            **_boxes(picks),
            "value": pa.array([pick.value for pick in picks], pa.float64()),
            **_columns(_FACTOR, [pick.factors for pick in picks], pa.float64()),
            "nearest": pa.array([pick.nearest for pick in picks], pa.string()),
            "distance": pa.array([pick.distance for pick in picks], pa.float64()),
            "turn": pa.array([pick.turn for pick in picks], pa.string()),
            **_columns(_KEY, [pick.keys for pick in picks], pa.string()),
            **_columns(_ROOM_LEFT, [pick.room_left for pick in picks], pa.int64()),
            **_columns(_APART, [pick.apart_s for pick in picks], pa.float64()),
            **_columns(_MARGIN, [pick.margins for pick in picks], pa.float64()),
            **_columns(_OWED, [pick.owed for pick in picks], pa.int64()),
        }
    )


def _boxes(picks: Sequence[Pick]) -> dict[str, Any]:
    """Where each region lies, in pixels where the store knows its frame's size; no columns where frames were picked."""
    boxes = [split_box(pick.uri)[1] for pick in picks]
    if not picks or not all(boxes):
        return {}
    return {name: pa.array(values) for name, values in zip(Box._fields, zip(*boxes, strict=True), strict=True)}


def _columns(prefix: str, parts: Sequence[Mapping[str, object]], kind: Any) -> dict[str, Any]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {prefix + name: pa.array([part.get(name) for part in parts], kind) for name in names}


def _pick(row: dict[str, Any]) -> Pick:
    def part(prefix: str) -> dict[str, Any]:
        return {
            name.removeprefix(prefix): value
            for name, value in row.items()
            if name.startswith(prefix) and value is not None
        }

    plain = {name: row[name] for name in ("rank", "frame_id", "session_id", "uri", "value", "nearest", "distance")}
    return Pick(
        **plain,
        turn=row["turn"],
        factors=part(_FACTOR),
        room_left=part(_ROOM_LEFT),
        keys=part(_KEY),
        apart_s=part(_APART),
        margins=part(_MARGIN),
        owed=part(_OWED),
    )


def batch_files(selection: Selection, snapshot: Snapshot) -> dict[str, bytes]:
    """The files of a batch: name -> bytes, the manifest last."""
    table = batch_table(selection.picks)
    text = io.BytesIO()
    pa.csv.write_csv(table, text)
    files = {ROWS: _parquet(table), TEXT: text.getvalue()}
    if selection.earlier:
        files[EARLIER] = _parquet(pa.table({"frame_id": pa.array(selection.earlier, pa.string())}))
    manifest = Manifest(
        fleetsift=version("fleetsift"),
        ensemble_id=selection.ensemble_id,
        spec=selection.spec,
        snapshot=snapshot,
        pool_size=selection.pool_size,
        left_out=selection.left_out,
        picked=len(selection.picks),
        shortfall=selection.shortfall,
        blocked_by=selection.blocked_by,
        owed=selection.owed,
        owed_for=selection.owed_for,
        uncounted=selection.uncounted,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    encoded = msgspec.json.encode(manifest, order="deterministic")
    return files | {MANIFEST: msgspec.json.format(encoded, indent=2) + b"\n"}


def _parquet(table: Any) -> bytes:
    data = io.BytesIO()
    pq.write_table(table, data, compression="zstd")
    return data.getvalue()


def replace_file(path: Path, data: bytes) -> None:
    """Put bytes under a name at once: written aside, synced, renamed; raises OSError."""
    aside = path.with_name(f".writing-{os.getpid()}-{path.name}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
