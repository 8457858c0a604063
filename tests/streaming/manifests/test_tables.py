"""Tables of references: whatever they are written in and however they are cut into parts, the same rows come out."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SourceError
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.schemas.status import Status
from fleetsift.streaming.manifests.open import open_rows
from fleetsift.streaming.manifests.rows import EVERYTHING
from fleetsift.streaming.manifests.topic import ManifestTopic, open_manifest

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
KINDS = ("jsonl", "csv", "parquet")
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: name.strip() == name != ""
)
ROWS = st.fixed_dictionaries(
    {
        "frame_id": NAMES,
        "session_id": NAMES,
        "uri": st.sampled_from(["/a/b.jpg", "c.jpg", "../d.jpg", "s3://bucket/e.jpg", "f.mp4#t=1.5"]),
        "captured_at": st.datetimes(timezones=st.just(UTC), min_value=EPOCH),
        "city": NAMES.filter(lambda name: not name[0].isdigit() and name not in ("true", "false", "null")),
        "speed": st.integers(-(2**40), 2**40),
        "metadata.rain": st.booleans(),
    }
)


def write(path: Path, rows: Sequence[Mapping[str, Any]], group: int = 1000) -> None:
    """The rows as a manifest of the kind that the suffix says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=group)
        return
    plain = [
        {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()} for row in rows
    ]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in plain), encoding="utf-8")
        return
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, list(plain[0]))
    writer.writeheader()
    writer.writerows(
        {key: json.dumps(value) if isinstance(value, bool) else value for key, value in row.items()} for row in plain
    )
    path.write_text(sink.getvalue(), encoding="utf-8", newline="")


def references(path: Path) -> list[FrameRef]:
    return list(open_rows(ManifestSpec(path=str(path))).read(EVERYTHING, "t", 0))


def by_parts(topic: ManifestTopic) -> list[FrameRef]:
    rows = open_rows(topic.spec)
    return [ref for p, part in enumerate(topic.manifest.parts) for ref in rows.read(part, "t", p)]


@settings(max_examples=40, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=30), st.integers(1, 12), st.integers(1, 9))
def test_every_kind_and_every_cut_gives_the_same_references(
    rows: list[dict[str, Any]], rows_per_part: int, group: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = []
        for kind in KINDS:
            path = Path(folder) / f"frames.{kind}"
            write(path, rows, group)
            whole = references(path)
            assert [ref.position for ref in whole] == [Position("t", 0, i) for i in range(len(rows))]
            topic = open_manifest(ManifestSpec(path=str(path), rows_per_part=rows_per_part))
            cut = by_parts(topic)
            assert [ref.position[1:] for ref in cut] == [divmod(i, rows_per_part) for i in range(len(rows))]
            assert [replace(ref, position=whole[0].position) for ref in cut] == [
                replace(ref, position=whole[0].position) for ref in whole
            ]
            seen.append(whole)
        assert seen[0] == seen[1] == seen[2]
        for ref, row in zip(seen[0], rows, strict=True):
            assert ref.problem is None
            assert (ref.frame_id, ref.session_id, ref.captured_at) == (
                row["frame_id"],
                row["session_id"],
                row["captured_at"],
            )
            assert ref.metadata == {"city": row["city"], "speed": row["speed"], "rain": row["metadata.rain"]}
            assert ref.uri is not None
            assert ref.uri.startswith(("/", "s3://"))
            assert ".." not in ref.uri


def test_what_is_no_row_is_a_reference_with_its_reason(tmp_path: Path) -> None:
    good = b'{"frame_id": "f", "session_id": "s", "uri": "u.jpg"}\n'
    lines = [
        good,
        b"no json\n",
        b"\n",
        b"[1]\n",
        b'{"frame_id": "g"}\n',
        b"\xff\xfe\n",
        b'"' + b"x" * 3_000_000 + b'"\n',
        good,
    ]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines).rstrip(b"\n"))
    refs = references(tmp_path / "a.jsonl")
    assert [ref.frame_id for ref in refs] == ["f", None, None, None, None, None, "f"]
    assert all(ref.problem and ref.problem.status is Status.BAD_MESSAGE and ref.problem.reason for ref in refs[1:-1])
    topic = open_manifest(ManifestSpec(path=str(tmp_path / "a.jsonl"), rows_per_part=3))
    assert [part.rows for part in topic.manifest.parts] == [3, 3, 1]
    assert [ref.problem for ref in by_parts(topic)] == [ref.problem for ref in refs]


def test_bad_rows_of_csv(tmp_path: Path) -> None:
    text = 'frame_id,session_id,uri,note\nf,s,u,"a\nb"\ng,s\n\nh,s,u,\xff\ni,s,u,"torn"x\n,s,u,\nj,s,u,"x, ""y"""\n'
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode("latin-1"))
    refs = references(tmp_path / "a.csv")
    assert [(ref.frame_id, ref.problem is None) for ref in refs] == [
        ("f", True), (None, False), (None, False), (None, False), (None, False), ("j", True),
    ]  # fmt: skip
    assert refs[0].metadata == {"note": "a\nb"}
    assert refs[-1].metadata == {"note": 'x, "y"'}
    topic = open_manifest(ManifestSpec(path=str(tmp_path / "a.csv"), rows_per_part=2))
    assert [ref.problem for ref in by_parts(topic)] == [ref.problem for ref in refs]


def test_no_manifest_is_held_whole_in_memory(tmp_path: Path) -> None:
    """A part of a manifest of 20 MB is read with less than 4 MB, near its end as well as at its beginning."""
    row = json.dumps({"frame_id": "f", "session_id": "s", "uri": "u.jpg", "note": "x" * 150}) + "\n"
    (tmp_path / "a.jsonl").write_text(row * 100_000)
    tracemalloc.start()
    topic = open_manifest(ManifestSpec(path=str(tmp_path / "a.jsonl"), rows_per_part=1000))
    source = topic.read({99: 0}, batch=8, until_end=True)
    from threading import Event

    assert sum(len(batch) for batch in source.batches(Event())) == 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "a.jsonl").stat().st_size > 19_000_000
    assert peak < 4_000_000


def test_a_manifest_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    rows = [{"frame_id": f"f{i}", "session_id": "s", "uri": f"../frames/{i}.jpg"} for i in range(50)]
    objects = ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1)
    for kind in KINDS:
        write(tmp_path / f"a.{kind}", rows)
        objects.overwrite(f"lists/a.{kind}", (tmp_path / f"a.{kind}").read_bytes())
        topic = open_manifest(ManifestSpec(path=f"{bucket}/lists/a.{kind}", rows_per_part=20))
        refs = by_parts(topic)
        assert [ref.uri for ref in refs] == [f"{bucket}/frames/{i}.jpg" for i in range(50)]
        assert [ref.position for ref in refs] == [Position("t", *divmod(i, 20)) for i in range(50)]


@pytest.mark.parametrize("name", ["none.jsonl", "a.txt", "torn.parquet", "empty.jsonl", "none/*.jpg"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, name: str) -> None:
    for made in ("a.txt", "torn.parquet", "empty.jsonl"):
        (tmp_path / made).write_bytes(b"" if made == "empty.jsonl" else b"PAR1 torn")
    with pytest.raises(SourceError, match=r"mend the (path|file)"):
        open_manifest(ManifestSpec(path=str(tmp_path / name)))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(KINDS), st.lists(st.lists(ROWS, min_size=1, max_size=9), min_size=1, max_size=4), st.integers(1, 5)
)
def test_a_glob_of_tables_is_their_rows_in_the_order_of_their_names(
    kind: str, tables: list[list[dict[str, Any]]], rows_per_part: int
) -> None:
    with tempfile.TemporaryDirectory() as home:
        for n, rows in enumerate(tables):
            folder = Path(home) / "days" / f"{n}"
            folder.mkdir(parents=True)
            write(folder / f"frames.{kind}", rows)
        spec = ManifestSpec(path=f"{home}/days/*/frames.{kind}", rows_per_part=rows_per_part)
        one_by_one = [references(Path(home) / "days" / f"{n}" / f"frames.{kind}") for n in range(len(tables))]
        expected = [(ref.frame_id, ref.uri, ref.metadata) for refs in one_by_one for ref in refs]
        topic = open_manifest(spec)
        assert topic.name == "frames"
        assert [(ref.frame_id, ref.uri, ref.metadata) for ref in read_parts(topic)] == expected
        assert sum(part.rows for part in topic.manifest.parts) == len(expected)
        everything = list(open_rows(spec).read(EVERYTHING, "t", 3))
        assert [(ref.frame_id, ref.uri, ref.metadata) for ref in everything] == expected
        assert [ref.position for ref in everything] == [Position("t", 3, n) for n in range(len(expected))]


def test_a_glob_of_tables_is_another_topic_with_another_table_and_says_so(tmp_path: Path) -> None:
    row = {"frame_id": "f", "session_id": "s", "uri": "a.jpg"}
    write(tmp_path / "1.jsonl", [row])
    spec = ManifestSpec(path=f"{tmp_path}/*.jsonl")
    before = open_manifest(spec)
    write(tmp_path / "2.jsonl", [row])
    with pytest.raises(SourceError, match="was written again during the run"):
        before.look_again()
    two = open_manifest(spec)
    (tmp_path / "2.jsonl").rename(tmp_path / "0.jsonl")
    assert len({topic.topic_id for topic in (before, two, open_manifest(spec))}) == 3
    with pytest.raises(SourceError, match=r"/\*\.csv: expected files, found none; mend the path"):
        open_manifest(ManifestSpec(path=f"{tmp_path}/*.csv"))
    with pytest.raises(SourceError, match=r"name tables by a glob of theirs, such as \*\.parquet"):
        open_manifest(ManifestSpec(path=str(tmp_path)))


def read_parts(topic: ManifestTopic) -> list[FrameRef]:
    rows = open_rows(topic.spec)
    return [ref for p, part in enumerate(topic.manifest.parts) for ref in rows.read(part, topic.name, p)]


def test_a_csv_cell_that_spells_no_finite_number_is_text(tmp_path: Path) -> None:
    manifest = tmp_path / "frames.csv"
    manifest.write_text(
        "frame_id,session_id,uri,speed\na,s,/a.jpg,NaN\nb,s,/b.jpg,1e999\nc,s,/c.jpg,-Infinity\nd,s,/d.jpg,1e3\n"
    )
    assert [ref.metadata["speed"] for ref in references(manifest)] == ["NaN", "1e999", "-Infinity", 1000.0]
