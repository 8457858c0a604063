"""A segment is a Parquet file that knows what it covers, and notices every changed byte."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.errors import SegmentCorrupt
from fleetsift.store.disk import DiskFolder
from fleetsift.store.rows import RowLayout, rows_table
from fleetsift.store.segments import SegmentFacts, encode_segment, read_facts, segment_name, verify_segment
from tests.store.conftest import make_refs, make_scores

REFS = make_refs(range(20, 40))
TABLE = rows_table(REFS, make_scores(REFS), RowLayout("null-000000000000", 2))
FACTS = SegmentFacts(
    topic="frames",
    topic_id="id-1",
    partition=0,
    ensemble_id="null-000000000000",
    classes=("road", "car"),
    start=17,
    next=40,
    rows=20,
    statuses={"ok": 20},
    writer="w",
    written_at="2026-01-01T00:00:00+00:00",
)
SEGMENT = encode_segment(TABLE, FACTS)


def test_a_segment_is_named_by_its_start_and_covers_what_its_footer_says(tmp_path: Path) -> None:
    path = tmp_path / segment_name(17)
    path.write_bytes(SEGMENT)
    assert path.name == "00000000000000000017.parquet"
    folder = DiskFolder(tmp_path)
    assert read_facts(folder, path.name) == verify_segment(folder, path.name) == FACTS
    assert pq.read_table(path).num_rows == 20


def test_a_footer_longer_than_the_first_look_is_read(tmp_path: Path) -> None:
    long = msgspec.structs.replace(FACTS, classes=tuple(f"class-{n}" for n in range(20_000)))
    (tmp_path / segment_name(17)).write_bytes(encode_segment(TABLE, long))
    assert read_facts(DiskFolder(tmp_path), segment_name(17)) == long


def test_the_same_rows_make_the_same_bytes() -> None:
    assert encode_segment(TABLE, FACTS) == SEGMENT


@given(st.integers(0, len(SEGMENT) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, byte: int, bit: int) -> None:
    damaged = bytearray(SEGMENT)
    damaged[byte] ^= 1 << bit
    check_refused(tmp_path_factory.getbasetemp() / "flipped.parquet", bytes(damaged))


@given(st.integers(0, len(SEGMENT) - 1))
def test_a_truncated_segment_is_noticed(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    check_refused(tmp_path_factory.getbasetemp() / "truncated.parquet", SEGMENT[:length])


def test_a_parquet_file_that_is_no_segment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(TABLE, path)
    with pytest.raises(SegmentCorrupt, match=r"other\.parquet"):
        read_facts(DiskFolder(tmp_path), path.name)


def check_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(SegmentCorrupt, match=path.name):
        verify_segment(DiskFolder(path.parent), path.name)
