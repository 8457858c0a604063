"""Where manifests, images and videos lie: a folder of a disk, or a prefix of an object store."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from fleetsift.objects import ObjectPrefix, is_url

_TIMEOUT_S, _RETRIES = 30.0, 3


class Place(Protocol):
    """Files by name, with `/` between folders. Every verb raises OSError where the place does not serve it."""

    def open(self, name: str) -> BinaryIO:
        """A file to read from here and there."""

    def facts(self, name: str) -> tuple[int, str]:
        """A file's size, and a mark that differs when it was written again."""

    def walk(self, after: str = "") -> Iterator[tuple[str, int]]:
        """The name and size of every file here and below, in an order that stays, after some name."""

    def address(self, uri: str) -> str:
        """A URI as it is, or, where it is relative, meant from here."""


def open_place(folder: str) -> Place:
    """The place that a path or an address names, without a look at it."""
    if is_url(folder):
        prefix = ObjectPrefix.open(folder, "manifest.path", timeout_s=_TIMEOUT_S, retries=_RETRIES)
        return ObjectPlace(prefix)
    return DiskPlace(Path(folder).resolve())


@dataclass(frozen=True, slots=True)
class DiskPlace:
    """A folder of a disk; links to folders are not followed."""

    folder: Path

    def open(self, name: str) -> BinaryIO:
        """A file to read from here and there."""
        return (self.folder / name).open("rb")

    def facts(self, name: str) -> tuple[int, str]:
        """Size and time of the last change."""
        found = (self.folder / name).stat()
        return found.st_size, str(found.st_mtime_ns)

    def walk(self, after: str = "") -> Iterator[tuple[str, int]]:
        """Folder by folder, each in the order of its names."""
        return _walk(self.folder, "", after.split("/") if after else [])

    def address(self, uri: str) -> str:
        """An absolute path."""
        return uri if is_url(uri) else os.path.normpath(self.folder / uri)


def _walk(folder: Path, above: str, after: list[str]) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if after and entry.name < after[0]:
            continue
        below = after[1:] if after and entry.name == after[0] else []
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{above}{entry.name}/", below)
        elif entry.is_file() and not (after and entry.name == after[0]):
            yield above + entry.name, entry.stat().st_size


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """A prefix of an object store."""

    prefix: ObjectPrefix

    def open(self, name: str) -> BinaryIO:
        """An object to read from here and there."""
        return self.prefix.open_file(name)

    def facts(self, name: str) -> tuple[int, str]:
        """Size and ETag."""
        return self.prefix.facts(name)

    def walk(self, after: str = "") -> Iterator[tuple[str, int]]:
        """In the order of the keys."""
        return self.prefix.walk(after)

    def address(self, uri: str) -> str:
        """An address below the same bucket, where it is relative."""
        if is_url(uri) or uri.startswith("/"):
            return uri
        scheme, _, rest = self.prefix.url.partition("://")
        return f"{scheme}://{posixpath.normpath(f'{rest}/{uri}')}"
