"""The objects of a store as an fsspec file system, by which DuckDB reads them: what is published never changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from obstore.fsspec import FsspecStore

from fleetsift.objects import client_options


class PublishedObjects(FsspecStore):
    """Asks once about each object; DuckDB asks its size and age a dozen times a query."""

    cachable = False  # one for each store that is opened: credentials may have changed in between

    def __init__(self, scheme: str) -> None:
        """Open the scheme's object stores with the default credentials."""
        super().__init__(scheme, client_options=client_options(timeout_s=60))  # type: ignore[call-overload]
        self._known: dict[str, dict[str, Any]] = {}

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        if path not in self._known:
            self._known[path] = await super()._info(path)
        return self._known[path]

    def modified(self, path: str) -> datetime:
        """When an object was published."""
        published: datetime = self.info(path)["last_modified"]
        return published
