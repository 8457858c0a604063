"""The seam between the chain and where its files lie: a folder of a disk, or a prefix of an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fleetsift.objects import ObjectPrefix, is_url
from fleetsift.store.bucket import BucketFolder
from fleetsift.store.disk import DiskFolder


class Folder(Protocol):
    """Files by name, with `/` between folders.

    Every verb raises StoreError where the place does not serve it, StoreSilent where it gives no answer.
    """

    @property
    def path(self) -> str:
        """How people and DuckDB call it."""

    def below(self, name: str) -> Folder:
        """A folder in this one, whether or not anything lies there yet."""

    def create_absent(self, name: str, data: bytes) -> bool:
        """Make a file appear whole under a name, durably; False where the name is taken.

        Raises OutcomeUnknown where only a look can tell whether the file is there.
        """

    def overwrite(self, name: str, data: bytes) -> None:
        """Keep bytes under a name as well as may be: they may be lost or torn."""

    def read(self, name: str, last: int | None = None) -> bytes:
        """A file's bytes, or its last so many; raises FileNotFoundError where there is none."""

    def folders(self) -> list[str]:
        """The names of the folders in this one."""

    def sweep(self) -> None:
        """Remove what writers that were killed left unfinished here, and nothing of a living one."""

    def remove(self, name: str) -> None:
        """Remove a file; where there is none, that is well."""

    def names(self) -> list[str]:
        """The names of all files here and in the folders below, in order: of a long chain, this takes long."""


def open_folder(path: str | Path, timeout_s: float = 60.0, retries: int = 3) -> Folder:
    """The folder that a path or an address (s3://, gs://, az://) names; raises ConfigError for other addresses.

    A request to an object store is given up after `timeout_s`, and made again so often.
    """
    if is_url(str(path)):
        return BucketFolder(ObjectPrefix.open(str(path), "store.path", timeout_s=timeout_s, retries=retries))
    return DiskFolder(Path(path).resolve())
