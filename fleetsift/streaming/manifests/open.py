"""What a path means: a manifest by its suffix, a glob of manifests or images, a folder, or one image or video."""

from __future__ import annotations

from pathlib import Path

from fleetsift.errors import SourceError
from fleetsift.objects import is_url
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.frames.videos import video_seconds
from fleetsift.streaming.manifests.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Listing
from fleetsift.streaming.manifests.places import Place, open_place
from fleetsift.streaming.manifests.rows import Rows
from fleetsift.streaming.manifests.several import SeveralTables
from fleetsift.streaming.manifests.tables import ParquetTable, TextTable, csv_rows, json_lines

_LINES = {".jsonl": json_lines, ".ndjson": json_lines, ".csv": csv_rows}
_TABLES = (*_LINES, ".parquet")
_WILD = "*?["


def open_rows(spec: ManifestSpec) -> Rows:
    """The rows of a manifest, without a look into it; raises SourceError for what is none."""
    path = spec.path.rstrip("/")
    folder, _, name = path.rpartition("/")
    suffix = Path(name).suffix.lower()
    on_disk = not is_url(path)
    if on_disk and Path(path).is_dir():
        return _listing(path, ("**",), spec)
    if not (on_disk and Path(path).exists()) and any(sign in path for sign in _WILD):
        steps = path.split("/")
        fixed = next(i for i, step in enumerate(steps) if any(sign in step for sign in _WILD))
        return _glob("/".join(steps[:fixed]) or "/", tuple(steps[fixed:]), spec)
    if on_disk and not Path(path).is_file():
        raise SourceError(
            f"{path}: expected a folder of images or a manifest ({', '.join(sorted(_TABLES))}), a video or a glob; "
            "mend the path"
        )
    if suffix in _TABLES:
        return _table(path)
    if suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return _listing(folder or "/", (name,), spec)
    if not on_disk:
        return _listing(path, ("**",), spec)
    raise SourceError(f"{path}: expected one of {', '.join(sorted(_TABLES))}, an image or a video; mend the path")


def _glob(folder: str, pattern: tuple[str, ...], spec: ManifestSpec) -> Rows:
    """Tables where the last step ends as one, else images and videos."""
    if Path(pattern[-1]).suffix.lower() in _TABLES:
        return SeveralTables(open_place(folder), pattern, _table)
    return _listing(folder, pattern, spec)


def _table(path: str) -> Rows:
    folder, _, name = path.rpartition("/")
    place, suffix = open_place(folder or "/"), Path(name).suffix.lower()
    return ParquetTable(place, name) if suffix == ".parquet" else TextTable(place, name, _LINES[suffix])


def _listing(folder: str, pattern: tuple[str, ...], spec: ManifestSpec) -> Listing:
    return Listing(open_place(folder), folder.rpartition("/")[2], pattern, spec.step_s, _video_s)


def _video_s(place: Place, name: str) -> float:
    with place.open(name) as file:
        return video_seconds(file)
