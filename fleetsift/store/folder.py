"""Create-if-absent on a local folder: a file appears whole under its name or not at all, and never replaces another."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from fleetsift.errors import StoreError

_HIDDEN = ".writing-"  # no reader's pattern matches a name with this prefix


def create_absent(path: Path, data: bytes) -> bool:
    """Publish bytes under a name unless the name is taken; returns whether they were published.

    Written aside, synced, linked into place (a link fails where the name exists; a rename would replace the winner),
    and the folder synced: when this returns, the file survives a power cut. Raises StoreError where the disk refuses.
    """
    aside = path.with_name(f"{_HIDDEN}{uuid.uuid4().hex}")
    try:
        _make_folder(path.parent)
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            published = _link(aside, path)
            _sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be published, {error.strerror}; nothing of it was kept") from error
    return published


def _link(aside: Path, path: Path) -> bool:
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        return False
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
