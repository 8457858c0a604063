"""The seam to a manifest's rows, whatever they are written in: found once, then read part by part."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fleetsift.schemas.frames import FrameRef


class Part(NamedTuple):
    """Some consecutive rows: where to begin to read them, how many they are, what they were when they were found."""

    begin: int | str  # bytes before it, rows before it, or the name before it; falsy at the beginning
    rows: int
    mark: str = ""
    table: str = ""  # in which they lie, where there are several


EVERYTHING = Part(0, sys.maxsize)


@dataclass(frozen=True, slots=True)
class Index:
    """A manifest's parts, the hash of everything in it, and what a look at it tells."""

    digest: str
    parts: tuple[Part, ...]
    look: str


class Rows(Protocol):
    """A manifest's rows. Every verb raises OSError where the manifest cannot be read, SourceError where it is none."""

    def index(self, rows_per_part: int) -> Index:
        """Go through the manifest once."""

    def read(self, part: Part, topic: str, partition: int) -> Iterator[FrameRef]:
        """The references of a part, their offsets counted from 0; a row that is none has its problem."""

    def look(self) -> str:
        """Differs where the manifest was written again; costs no more than a look."""
