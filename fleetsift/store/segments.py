"""One segment: a Parquet file of consecutive rows, with what it covers and a hash of itself in its footer."""

from __future__ import annotations

import hashlib
import io
import re

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fleetsift.errors import SegmentCorrupt
from fleetsift.store.folder import Folder
from fleetsift.store.rows import CATEGORICAL, SCHEMA_VERSION

FACTS_KEY = "fleetsift.segment"
_HASH = "fleetsift.hash"
_UNHASHED = b"blake2b:" + b"0" * 64  # stands in the footer while the hash of all bytes is taken
_HASHED = re.compile(rb"blake2b:[0-9a-f]{64}")
_NAME = re.compile(r"(?:^|/)[0-9]{20}\.parquet$")
_FOOTER_BYTES = 65_536  # fetched at once; a footer is rarely longer


class SegmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment's footer says of it; it claims every offset of [start, next), gaps included."""

    topic: str
    topic_id: str
    partition: int
    ensemble_id: str
    classes: tuple[str, ...]
    start: int
    next: int
    rows: int
    statuses: dict[str, int]
    writer: str  # uuid of the writer, to tell a lost acknowledgement from a lost race
    written_at: str  # RFC 3339, UTC; for people: nothing depends on it but which ensemble counts as newest
    so_far: dict[str, int] = {}  # rows by status of the chain up to its end, so that nobody has to add them up
    sealed_so_far: int = 0  # offsets of the chain up to its end that lie in gaps that were sealed
    previous: int | None = None  # where the segment before it begins
    gap: str = ""  # why nothing of what it claims was scored; "" in a segment of rows
    version: int = SCHEMA_VERSION


def segment_name(start: int) -> str:
    """The file name of the segment that begins at this offset: only its start, so two can never overlap unseen."""
    return f"{start:020d}.parquet"


def encode_segment(table: pa.Table, facts: SegmentFacts) -> bytes:
    """Write rows and facts as the bytes of a Parquet file that carries its own hash."""
    sink = io.BytesIO()
    names = set(table.column_names)
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in CATEGORICAL if name in names],
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=131_072)
        writer.add_key_value_metadata({FACTS_KEY: msgspec.json.encode(facts).decode(), _HASH: _UNHASHED.decode()})
    unhashed = sink.getvalue()
    at = unhashed.rindex(_UNHASHED)
    return unhashed[:at] + _digest(unhashed) + unhashed[at + len(_UNHASHED) :]


def is_segment(name: str) -> bool:
    """Whether a file in a store, by its name or path, is a published segment."""
    return _NAME.search(name) is not None


def read_facts(folder: Folder, name: str) -> SegmentFacts:
    """Read a segment's footer; raises SegmentCorrupt, naming the file, or FileNotFoundError."""
    tail = folder.read(name, last=_FOOTER_BYTES)
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if needed > len(tail):
        tail = folder.read(name, last=needed)
    return _decode_facts(tail, f"{folder.path}/{name}")


def verify_segment(folder: Folder, name: str) -> SegmentFacts:
    """Check every byte of a segment against its hash; raises SegmentCorrupt, naming the file."""
    return _verified_facts(folder.read(name), f"{folder.path}/{name}")


def read_segment(folder: Folder, name: str) -> tuple[SegmentFacts, pa.Table, int]:
    """A segment's facts, its rows, and how many bytes it has, every one checked; raises SegmentCorrupt."""
    data = folder.read(name)
    facts = _verified_facts(data, f"{folder.path}/{name}")
    return facts, pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False), len(data)


def _verified_facts(data: bytes, path: str) -> SegmentFacts:
    hashes = list(_HASHED.finditer(data))
    if not hashes or _digest(data[: hashes[-1].start()] + _UNHASHED + data[hashes[-1].end() :]) != hashes[-1][0]:
        raise SegmentCorrupt(f"{path}: its bytes do not match the hash in its footer; restore the file from a copy")
    return _decode_facts(data, path)


def _decode_facts(tail: bytes, path: str) -> SegmentFacts:
    """The facts in the footer at the end of a file, of which no more than the footer need be there."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise SegmentCorrupt(f"{path}: expected a Parquet segment, {detail}; restore the file from a copy") from error
    try:
        return msgspec.json.decode(metadata[FACTS_KEY.encode()], type=SegmentFacts)
    except (KeyError, msgspec.MsgspecError) as error:
        raise SegmentCorrupt(f"{path}: the footer has no readable {FACTS_KEY}; restore the file from a copy") from error


def _digest(unhashed: bytes) -> bytes:
    return b"blake2b:" + hashlib.blake2b(unhashed, digest_size=32).hexdigest().encode()
