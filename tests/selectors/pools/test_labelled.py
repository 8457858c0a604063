"""Which frames are labelled: every form a list of them may have."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleetsift.errors import SelectionError
from fleetsift.selectors.pools.labelled import read_labelled


def test_lists_may_be_text_csv_or_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("f-1\n\n  f-2  \r\nf-ü\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text('label,frame_id\ncar,0007\nroad,"f,4"\n')
    pq.write_table(pa.table({"x": [1, 2], "frame_id": ["f-5", None]}), tmp_path / "c.parquet")
    files = [tmp_path / name for name in ("a.txt", "b.csv", "c.parquet")]
    assert read_labelled(files) == {"f-1", "f-2", "f-ü", "0007", "f,4", "f-5"}
    assert read_labelled([]) == frozenset()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("absent.txt", None),
        ("absent.parquet", None),
        ("a.csv", b"name\nf-1\n"),
        ("empty.csv", b""),
        ("a.parquet", b"no parquet"),
        ("a.txt", b"\xff\xfe\x00"),
    ],
)
def test_a_list_that_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SelectionError, match=f"selection.labelled.frames: expected .*{name} to be") as refusal:
        read_labelled([tmp_path / name])
    assert "\n" not in str(refusal.value)


def test_a_parquet_file_without_the_column_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SelectionError, match=r"expected .*a\.parquet to be Parquet or CSV with a column frame_id"):
        read_labelled([tmp_path / "a.parquet"])
