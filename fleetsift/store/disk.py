"""A store's folder on a disk: a file appears whole under its name or not at all, and never replaces another."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fleetsift.errors import StoreError

_DRAFTS = ".writing"  # a folder of their own, so that finding what is left of them lists no long chain
_ABANDONED_S = 3600.0  # a draft lives as long as one file takes to be written


@dataclass(frozen=True, slots=True)
class DiskFolder:
    """Files are published by linking them into place: a link fails where the name exists, a rename would replace."""

    root: Path

    @property
    def path(self) -> str:
        """Its absolute path."""
        return str(self.root)

    def below(self, name: str) -> DiskFolder:
        """A folder in this one."""
        return DiskFolder(self.root / name)

    def create_absent(self, name: str, data: bytes) -> bool:
        """Publish bytes under a name unless the name is taken.

        Written aside, synced, linked into place, and the folder synced: when this returns, the file survives a power
        cut. Where the disk refuses, nothing is kept.
        """
        path = self.root / name
        aside = path.parent / _DRAFTS / uuid.uuid4().hex
        with _as_store_error(path, "cannot be published, {}; nothing of it was kept"):
            _make_folder(aside.parent)
            try:
                with aside.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                published = _link(aside, path)
                _sync(path.parent)
            finally:
                aside.unlink(missing_ok=True)
        return published

    def overwrite(self, name: str, data: bytes) -> None:
        """Write bytes under a name; a crash may lose or tear them."""
        with _as_store_error(self.root / name, "cannot be written, {}"):
            (self.root / name).write_bytes(data)

    def read(self, name: str, last: int | None = None) -> bytes:
        """A file's bytes, or its last so many."""
        path = self.root / name
        with _as_store_error(path, "cannot be read, {}"), path.open("rb") as file:
            if last is not None:
                file.seek(max(0, file.seek(0, os.SEEK_END) - last))
            return file.read()

    def folders(self) -> list[str]:
        """The names of the folders in this one."""
        with _as_store_error(self.root, "cannot be listed, {}"):
            return sorted(path.name for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []

    def sweep(self) -> None:
        """Remove what killed writers left unfinished."""
        drafts = self.root / _DRAFTS
        if not drafts.is_dir():
            return
        with _as_store_error(drafts, "cannot be swept, {}"):
            for draft in drafts.iterdir():
                with suppress(FileNotFoundError):  # another writer sweeps too, or has just finished
                    if time.time() - draft.stat().st_mtime > _ABANDONED_S:
                        draft.unlink()

    def remove(self, name: str) -> None:
        """Unlink a file, if it is there."""
        with _as_store_error(self.root / name, "cannot be removed, {}"):
            (self.root / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """The names of all files below, in order."""
        with _as_store_error(self.root, "cannot be listed, {}"):
            return sorted(
                f"{folder}/{name}".removeprefix(f"{self.root}/")
                for folder, _, names in os.walk(self.root)
                for name in names
            )


@contextmanager
def _as_store_error(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: {what.format(error.strerror)}") from error


def _link(aside: Path, path: Path) -> bool:
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        raise StoreError(f"{path}: its draft was swept away; was this writer stopped for an hour?") from error
    return True


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, each entry synced."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
