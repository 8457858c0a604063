"""Object stores, s3://, gs:// and az://, through obstore, whose exceptions become those of files here.

Credentials come from each store's default chain (environment, instance, cluster); an address that carries some is
refused. So is every other scheme.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from fleetsift.errors import ConfigError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_SCHEMES = ("s3", "gs", "az")
_ADDRESS = re.compile(rf"(?:{'|'.join(_SCHEMES)})://[A-Za-z0-9._-]+(?:/[^?#]*)?")
_BLOCK_BYTES = 1 << 20  # read at once of an object that is read piece by piece
_REFUSAL = re.compile(r"status code: 4(?!08|29)\d\d|redirect")  # asked again, it would say the same
_NO_SUFFIX = re.compile(r"suffix|non-partial|status code: 416")  # Azure never, others not of an empty object
_QUERY = re.compile(r"\?\S*")  # what an address in an error message may carry of a signature


def is_url(path: str) -> bool:
    """Whether a path is meant as an address rather than as a file's name."""
    return "://" in path


def check_url(url: str, owner: str) -> str:
    """The address without its last slash; raises ConfigError, without repeating it, for one that cannot be meant."""
    if not _ADDRESS.fullmatch(url):
        expected = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise ConfigError(
            f"{owner}: expected {expected} with a bucket and a prefix alone; credentials belong in the environment"
        )
    return url.rstrip("/")


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrefix:
    """The objects whose keys begin with one prefix; keys are relative to it.

    Every verb raises FileNotFoundError, PermissionError, ConnectionError where the store gives no answer in time or
    says that it cannot just now, or OSError where it refuses.
    """

    url: str
    _store: ObjectStore

    @classmethod
    def open(cls, url: str, owner: str, *, timeout_s: float, retries: int) -> ObjectPrefix:
        """No request is made; raises ConfigError for an address that cannot be meant."""
        url = check_url(url, owner)
        store = from_url(
            url,
            client_options=client_options(timeout_s),
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=timeout_s * (retries + 1))},
        )
        return cls(url, store)

    def create_absent(self, key: str, data: bytes) -> bool:
        """Put a whole object in one conditional request; returns False where the key is taken.

        After OSError the outcome is unknown: the request may have been served, and its answer lost.
        """
        with _as_file_errors():
            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def overwrite(self, key: str, data: bytes) -> None:
        """Put an object, whatever the key held."""
        with _as_file_errors():
            obstore.put(self._store, key, data, use_multipart=False)

    def read(self, key: str, last: int | None = None) -> bytes:
        """An object's bytes, or its last so many."""
        with _as_file_errors():
            if last is None:
                return bytes(obstore.get(self._store, key).bytes())
            try:
                return bytes(obstore.get(self._store, key, options={"range": {"suffix": last}}).bytes())
            except BaseError as error:
                if not _NO_SUFFIX.search(str(error)):
                    raise
            size = obstore.head(self._store, key)["size"]
            return bytes(obstore.get_range(self._store, key, start=max(0, size - last), end=size)) if size else b""

    def read_at_most(self, key: str, most_bytes: int) -> bytes | int:
        """An object's bytes in one request; or its size, and nothing of it is read, where that is more."""
        with _as_file_errors():
            answer = obstore.get(self._store, key)
            size = answer.meta["size"]
            return bytes(answer.bytes()) if size <= most_bytes else size

    def answers(self) -> bool:
        """Whether the store answers at all: that it has no such key, or that it may not say."""
        try:
            self.facts(".fleetsift-probe")
        except (FileNotFoundError, PermissionError):
            return True
        except OSError:
            return False
        return True

    def open_file(self, key: str) -> io.BufferedReader:
        """An object to read from here and there, a block a request; raises as the other verbs do, at every read."""
        with _as_file_errors():
            size = obstore.head(self._store, key)["size"]
        return io.BufferedReader(_ObjectFile(self, key, size), _BLOCK_BYTES)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes [start, end) of an object."""
        with _as_file_errors():
            return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def facts(self, key: str) -> tuple[int, str]:
        """An object's size, and a mark that differs when other bytes are put there."""
        with _as_file_errors():
            found = obstore.head(self._store, key)
            return found["size"], found["e_tag"] or found["last_modified"].isoformat()

    def walk(self, after: str = "") -> Iterator[tuple[str, int]]:
        """Every key and its size, in order, after some key, a page of 1000 a request."""
        with _as_file_errors():
            for page in obstore.list(self._store, None, offset=after or None, chunk_size=1000):
                yield from ((found["path"], found["size"]) for found in page)

    def folders(self, folder: str = "") -> list[str]:
        """The names that keys below a folder begin with, up to the next slash."""
        with _as_file_errors():
            found = obstore.list_with_delimiter(self._store, folder.rstrip("/") or None)["common_prefixes"]
            return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def remove(self, key: str) -> None:
        """Delete an object."""
        with _as_file_errors():
            obstore.delete(self._store, key)

    def keys(self, folder: str = "") -> Iterator[str]:
        """Every key below a folder, in order, a page of 1000 a request."""
        with _as_file_errors():
            for page in obstore.list(self._store, folder or None, chunk_size=1000):
                yield from (found["path"] for found in page)


class _ObjectFile(io.RawIOBase):
    """What `io.BufferedReader` reads blocks from."""

    def __init__(self, prefix: ObjectPrefix, key: str, size: int) -> None:
        self._prefix, self._key, self._size, self._at = prefix, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._size, self._at + len(buffer))
        if end <= self._at:
            return 0
        data = self._prefix.read_range(self._key, self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def client_options(timeout_s: float) -> Any:
    """Options given here replace those of the environment, so the one that test servers need is read from it."""
    return {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(5.0, timeout_s)),
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
    }


@contextmanager
def _as_file_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(_first_line(error)) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(_first_line(error)) from None
    except ValueError as error:
        raise OSError(_first_line(error)) from None
    except BaseError as error:
        line = _first_line(error)
        raise (OSError if _REFUSAL.search(line) else ConnectionError)(line) from None


def _first_line(error: Exception) -> str:
    return _QUERY.sub("", str(error).partition("\n")[0])
