"""A store in memory that counts what it is asked, so that listing and resuming have a price."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fleetsift.store.folder import Folder


@dataclass
class Requests:
    """What an object store was asked."""

    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class MemoryFolder:
    """A store's folder in memory: what is created once stays, and every request is counted."""

    files: dict[str, bytes]
    requests: Requests
    path: str = "memory"

    def below(self, name: str) -> Folder:
        """A folder of its own: chains do not share one."""
        return MemoryFolder({}, self.requests, f"{self.path}/{name}")

    def create_absent(self, name: str, data: bytes) -> bool:
        """Keep the end of a file alone, where its footer is."""
        self.requests.counts["create"] += 1
        if name in self.files:
            return False
        self.files[name] = data
        return True

    def overwrite(self, name: str, data: bytes) -> None:
        """Whatever was there."""
        self.requests.counts["overwrite"] += 1
        self.files[name] = data

    def read(self, name: str, last: int | None = None) -> bytes:
        """One request, for the end of a file too."""
        self.requests.counts["read"] += 1
        if name not in self.files:
            raise FileNotFoundError(name)
        data = self.files[name]
        return data if last is None else data[-last:]

    def remove(self, name: str) -> None:
        """As on a disk."""
        self.files.pop(name, None)

    def sweep(self) -> None:
        """Nobody is killed here."""

    def names(self) -> list[str]:
        """A thousand names a request."""
        self.requests.counts["list"] += 1 + len(self.files) // 1000
        return sorted(self.files)

    def folders(self) -> list[str]:
        """None: each partition has a folder of its own."""
        return []
