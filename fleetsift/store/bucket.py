"""A store's folder as a prefix of an object store: the finished bytes in one conditional PUT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from fleetsift.errors import OutcomeUnknown, StoreError, StoreSilent
from fleetsift.objects import ObjectPrefix


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """Files are objects, and folders the beginnings of their keys."""

    prefix: ObjectPrefix
    inside: str = ""  # with a slash at its end

    @property
    def path(self) -> str:
        """Its address."""
        return f"{self.prefix.url}/{self.inside}".rstrip("/")

    def below(self, name: str) -> BucketFolder:
        """A folder in this one."""
        return replace(self, inside=f"{self.inside}{name}/")

    def create_absent(self, name: str, data: bytes) -> bool:
        """Publish bytes unless the name is taken; an error says nothing about whether the server took them."""
        try:
            return self.prefix.create_absent(self.inside + name, data)
        except PermissionError as error:
            raise StoreError(f"{self.path}/{name}: the object store forbids writing it, {error}") from error
        except OSError as error:
            raise OutcomeUnknown(f"{self.path}/{name}: it is not known whether it was published, {error}") from error

    def overwrite(self, name: str, data: bytes) -> None:
        """Keep bytes under a name."""
        with self._as_store_error(name):
            self.prefix.overwrite(self.inside + name, data)

    def read(self, name: str, last: int | None = None) -> bytes:
        """An object's bytes, or its last so many."""
        with self._as_store_error(name):
            return self.prefix.read(self.inside + name, last)

    def folders(self) -> list[str]:
        """The names of the prefixes in this one."""
        with self._as_store_error("*"):
            return self.prefix.folders(self.inside)

    def sweep(self) -> None:
        """Nothing is ever left: an object is there whole or not at all."""

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        with self._as_store_error(name), suppress(FileNotFoundError):
            self.prefix.remove(self.inside + name)

    def names(self) -> list[str]:
        """The names of all objects below, in order, a page of 1000 a request."""
        with self._as_store_error("*"):
            return sorted(key.removeprefix(self.inside) for key in self.prefix.keys(self.inside.rstrip("/")))

    @contextmanager
    def _as_store_error(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except ConnectionError as error:
            raise StoreSilent(
                f"{self.path}/{name}: the object store gives no answer, {error}; wait for it, or mend the address"
            ) from error
        except OSError as error:
            raise StoreError(f"{self.path}/{name}: the object store refuses, {error}") from error
