"""Folders, prefixes and globs as manifests: names in an order that stays, cut into parts that say when they changed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SourceError
from fleetsift.objects import ObjectPrefix
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.schemas.status import Status
from fleetsift.streaming.manifests.open import open_rows
from fleetsift.streaming.manifests.places import DiskPlace
from fleetsift.streaming.manifests.rows import EVERYTHING
from fleetsift.streaming.manifests.topic import open_manifest

STEPS = st.sampled_from(["a", "b", "a-b", "c.jpg", "d.png", "e.txt", "ü.jpg", "Z.JPG"])
PATHS = st.lists(st.lists(STEPS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=12, unique=True)


def make(folder: Path, names: list[str]) -> None:
    """Files of these names, those that can be: a name may be a folder's already."""
    for name in names:
        path = folder / name
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())


@settings(max_examples=60, deadline=None)
@given(PATHS, st.integers(1, 4))
def test_a_walk_can_begin_after_any_name(names: list[str], rows_per_part: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make(folder, names)
        place = DiskPlace(folder)
        walked = list(place.walk())
        assert {name for name, _ in walked} == {
            p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
        }
        for i, (name, _) in enumerate(walked):
            assert list(place.walk(name)) == walked[i + 1 :]
        pictures = [name for name, _ in walked if name.lower().endswith((".jpg", ".png"))]
        if pictures:
            topic = open_manifest(ManifestSpec(path=made, rows_per_part=rows_per_part))
            rows = open_rows(topic.spec)
            refs = [list(rows.read(part, "t", p)) for p, part in enumerate(topic.manifest.parts)]
            assert [ref.uri for part in refs for ref in part] == [str(folder.resolve() / name) for name in pictures]
            assert [len(part) for part in refs[:-1]] == [rows_per_part] * (len(refs) - 1)


def test_images_are_named_by_their_paths_and_their_folders_are_sessions(tmp_path: Path) -> None:
    make(tmp_path / "fleet", ["one/2.png", "one/10.jpg", "top.jpeg", "one/notes.txt", "w.webp"])
    refs = list(open_rows(ManifestSpec(path=f"{tmp_path}/fleet")).read(EVERYTHING, "t", 0))
    assert [(ref.frame_id, ref.session_id) for ref in refs] == [
        ("one/10", "one"),
        ("one/2", "one"),
        ("top", "fleet"),
        ("w", "fleet"),
    ]
    (tmp_path / "fleet" / "one" / "2.png").rename(tmp_path / "fleet" / "one" / os.fsdecode(b"\xff.png"))
    [_, odd, *_] = open_rows(ManifestSpec(path=f"{tmp_path}/fleet")).read(EVERYTHING, "t", 0)
    assert odd.problem is not None
    assert odd.problem.status is Status.BAD_MESSAGE
    assert open_manifest(ManifestSpec(path=f"{tmp_path}/fleet")).manifest.parts[0].rows == 4


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("d*/*.jpg", ["d1/b.jpg", "d2/c.jpg"]),
        ("**/*.jpg", ["a.jpg", "d1/b.jpg", "d1/e/f.jpg", "d2/c.jpg"]),
        ("d1/**", ["d1/b.jpg", "d1/e/f.jpg"]),
        ("d[2-9]/?.jpg", ["d2/c.jpg"]),
    ],
)
def test_globs(tmp_path: Path, bucket: str, pattern: str, expected: list[str]) -> None:
    make(tmp_path, ["a.jpg", "d1/b.jpg", "d1/e/f.jpg", "d2/c.jpg"])
    objects = ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1)
    for file in tmp_path.rglob("*.jpg"):
        objects.overwrite(f"top/{file.relative_to(tmp_path)}", b"x")
    for home in (str(tmp_path), *([] if "?" in pattern else [f"{bucket}/top"])):
        refs = open_rows(ManifestSpec(path=f"{home}/{pattern}")).read(EVERYTHING, "t", 0)
        assert [str(ref.uri).removeprefix(f"{home}/") for ref in refs] == expected


def test_a_prefix_is_listed_from_anywhere_on(bucket: str) -> None:
    objects = ObjectPrefix.open(bucket, "tests", timeout_s=10, retries=1)
    for i in range(12):
        objects.overwrite(f"drives/{i % 3}/{i:02}.jpg", b"x" * i)
    objects.overwrite("drives-not/x.jpg", b"")
    topic = open_manifest(ManifestSpec(path=f"{bucket}/drives", rows_per_part=5))
    rows = open_rows(topic.spec)
    refs = [ref for p, part in enumerate(topic.manifest.parts) for ref in rows.read(part, "t", p)]
    assert [ref.uri for ref in refs] == [f"{bucket}/drives/{s}/{i:02}.jpg" for s in range(3) for i in range(s, 12, 3)]
    assert topic.partitions == (0, 1, 2)


def test_files_that_change_during_a_run_are_said(tmp_path: Path) -> None:
    make(tmp_path, [f"{i}.jpg" for i in range(9)])
    topic = open_manifest(ManifestSpec(path=str(tmp_path), rows_per_part=3))
    rows = open_rows(topic.spec)
    (tmp_path / "41.jpg").write_bytes(b"new")
    assert len(list(rows.read(topic.manifest.parts[0], "t", 0))) == 3
    with pytest.raises(SourceError, match="changed during the run, at part 1; run again"):
        list(rows.read(topic.manifest.parts[1], "t", 1))
    assert open_manifest(topic.spec).topic_id != topic.topic_id
