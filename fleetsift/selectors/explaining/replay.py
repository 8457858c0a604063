"""A batch selected again, from the store as it was then: the proof that it is what its manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from fleetsift.errors import SelectionError
from fleetsift.schemas.selection import Unit
from fleetsift.selectors.batches.batch import Snapshot, batch_files, read_manifest
from fleetsift.selectors.pools.expressions import Rows, ScoredFrames
from fleetsift.selectors.select import select_batch


def replay_batch(store: ScoredFrames, folder: Path) -> int:
    """Select a batch again and compare it, byte for byte; returns the number of its picks.

    Raises SelectionError where a file differs, or where the store's newest ensemble is another than the batch's.
    """
    manifest = read_manifest(folder)
    if store.ensemble_id != manifest.ensemble_id:
        raise SelectionError(
            f"{folder}: expected a store whose newest ensemble is {manifest.ensemble_id}, got {store.ensemble_id}; "
            "replay it on a store of that ensemble"
        )
    selection = select_batch(AsItWas(store, manifest.snapshot), manifest.spec)
    for name, data in batch_files(selection, manifest.snapshot).items():
        found = folder / name
        if not found.exists() or found.read_bytes() != data:
            here = version("fleetsift")
            versions = "" if manifest.fleetsift == here else f", selected by {manifest.fleetsift} and not by {here}"
            raise SelectionError(
                f"{found}: expected the bytes that selecting again gives, got others{versions}; look whether the "
                "batch, the files that its specification names, or the store has been changed"
            )
    return len(selection.picks)


class AsItWas:
    """A store's frames as a snapshot saw them: the rows below the chain ends that it names."""

    def __init__(self, store: ScoredFrames, snapshot: Snapshot) -> None:
        """Raises SelectionError where two chains of a topic cannot be told apart by their rows."""
        self._store = store
        topics = [name.rpartition("@")[0] for name in snapshot]
        if len(set(topics)) < len(topics):
            raise SelectionError(
                f"replay: expected one chain a topic, got {', '.join(snapshot)}; rows do not say to which they belong"
            )
        self._ends = [
            (topic, int(partition), end)
            for topic, ends in zip(topics, snapshot.values(), strict=True)
            for partition, end in ends.items()
        ]

    @property
    def ensemble_id(self) -> str:
        """The store's."""
        return self._store.ensemble_id

    @property
    def classes(self) -> tuple[str, ...]:
        """The store's."""
        return self._store.classes

    @property
    def unit(self) -> Unit:
        """The store's."""
        return self._store.unit

    def sql(self, query: str, params: Sequence[object] | None = None) -> Rows:
        """Answer a query that names the view `frames` once, after whatever a curator has written."""
        before, found, after = query.rpartition("FROM frames")
        if not found:
            return self._store.sql(query, params)
        ends = ", ".join(f"({_text(topic)}, {partition}, {end})" for topic, partition, end in self._ends)
        below = (
            f"SELECT frames.* FROM frames SEMI JOIN (VALUES {ends}) AS ends(of_topic, of_partition, reaches) "  # noqa: S608
            'ON topic = of_topic AND "partition" = of_partition AND "offset" < reaches'
        )
        return self._store.sql(f"{before}FROM ({below}) AS frames{after}", params)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
