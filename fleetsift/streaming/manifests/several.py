"""A glob of tables as one manifest: a data set in many Parquet files, or a file of lines a day."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from fleetsift.errors import SourceError
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.streaming.manifests.listing import matches
from fleetsift.streaming.manifests.places import Place
from fleetsift.streaming.manifests.rows import EVERYTHING, Index, Part, Rows


@dataclass(frozen=True, slots=True)
class SeveralTables:
    """Tables in the order of their names; a part lies in one of them."""

    place: Place
    pattern: tuple[str, ...]  # a glob by its steps
    open_table: Callable[[str], Rows]  # by its address

    def index(self, rows_per_part: int) -> Index:
        """Go through every table once; what is hashed is their names and what they hold."""
        whole, parts, looks = hashlib.sha256(), list[Part](), list[str]()
        for name, table in self._tables():
            found = table.index(rows_per_part)
            whole.update(f"{name}\0{found.digest}\n".encode(errors="surrogateescape"))
            parts += [part._replace(table=name) for part in found.parts]
            looks.append(f"{name} {found.look}")
        return Index(whole.hexdigest(), tuple(parts), "\n".join(looks))

    def read(self, part: Part, topic: str, partition: int) -> Iterator[FrameRef]:
        """The rows of a part from its table, or of all tables, counted on from one to the next."""
        if part.table:
            yield from self._open(part.table).read(part, topic, partition)
            return
        rows = chain.from_iterable(table.read(EVERYTHING, topic, partition) for _, table in self._tables())
        for offset, ref in enumerate(rows):
            yield replace(ref, position=Position(topic, partition, offset))

    def look(self) -> str:
        """The sizes of all, and when they were written."""
        return "\n".join(f"{name} {table.look()}" for name, table in self._tables())

    def _tables(self) -> Iterator[tuple[str, Rows]]:
        names = [name for name, _ in self.place.walk() if matches(tuple(name.split("/")), self.pattern)]
        if not names:
            raise SourceError(
                f"{self.place.address('/'.join(self.pattern))}: expected files, found none; mend the path"
            )
        return ((name, self._open(name)) for name in names)

    def _open(self, name: str) -> Rows:
        return self.open_table(self.place.address(name))
