"""What was read and what was picked, one JSON object a line, only ever appended to.

A line of kind `read` says which rows are about to be judged, and is on disk before the first of them is. So a process
that was killed, even by -9, reads its file again, judges the rows that its checkpoint does not know of, in the same
order, comes to the same picks, and writes those that are missing: none twice, none lost. A torn last line never
counted.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.online.arrivals import Read
from fleetsift.selectors.online.policy import OnlinePick, Pace


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="begun"):
    """The first line: by which rules and on which scores all others came about."""

    ensemble_id: str
    spec: SelectionSpec
    pace: Pace


class RowsRead(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="read"):
    """Rows that are judged from here on."""

    rows: dict[str, dict[str, tuple[int, int]]]


class Picked(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pick"):
    """One pick."""

    frame_id: str
    session_id: str
    uri: str
    captured_us: int
    value: float
    bound: float
    distance: float | None
    left_today: int


_Line = Begun | RowsRead | Picked


class Ledger:
    """The lines of one file, held by this process alone while it is open."""

    def __init__(self, path: Path, begun: Begun) -> None:
        """Begin a file, or go on with one; raises SelectionError where it is another's, or held by another process."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise SelectionError(f"{path}: another process picks into it; name another file") from error
        except OSError as error:
            raise SelectionError(f"{path}: cannot be written, {error.strerror}; choose another place") from error
        try:
            lines = self._whole_lines(path)
            if lines and lines[0] != begun:
                raise SelectionError(
                    f"{path}: expected picks by this specification, pace and ensemble, got others; name another file"
                )
        except SelectionError:
            self._file.close()
            raise
        self.path, self.begun = path, begun
        self.reads: list[Read] = [line.rows for line in lines if isinstance(line, RowsRead)]
        self.reached: dict[str, dict[str, int]] = {}  # topic@id -> partition -> how far all reads together go
        for read in self.reads:
            self._reach(read)
        self.picked = [line.frame_id for line in lines if isinstance(line, Picked)]
        if not lines:
            self._append(begun)

    def read(self, rows: Read) -> None:
        """Say which rows are judged next."""
        self._append(RowsRead(rows={topic: dict(spans) for topic, spans in rows.items()}))
        self.reads.append({topic: dict(spans) for topic, spans in rows.items()})
        self._reach(rows)

    def _reach(self, read: Read) -> None:
        for topic, spans in read.items():
            self.reached.setdefault(topic, {}).update({partition: end for partition, (_, end) in spans.items()})

    def pick(self, pick: OnlinePick) -> None:
        """Write down a pick."""
        self._append(msgspec.convert(msgspec.to_builtins(pick) | {"kind": "pick"}, Picked))
        self.picked.append(pick.frame_id)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _whole_lines(self, path: Path) -> list[_Line]:
        """The lines of the file, which from here on ends with a whole one."""
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self._file.truncate(len(whole))
        try:
            lines: list[_Line] = [msgspec.json.decode(line, type=_Line) for line in whole.splitlines()]
        except msgspec.MsgspecError as error:
            raise SelectionError(
                f"{path}: expected lines of an online selection, {error}; name another file"
            ) from error
        return lines

    def _append(self, line: Any) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
