"""A batch selected again, from the store as it was then: the proof that it is what its manifest says."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from fleetsift.errors import SelectionError
from fleetsift.selectors.batches.batch import batch_files, read_manifest
from fleetsift.selectors.select import select_batch
from fleetsift.store.as_of import AsOf
from fleetsift.store.views import ScoreStore


def replay_batch(store: str | Path, folder: Path) -> int:
    """Select a batch again, on the rows that its manifest names, and compare it; returns the number of its picks.

    What came into the store since is not looked at: rows, a newer ensemble, a topic made again under the same name.
    Raises SelectionError where a file differs, StoreError where the store does not have those rows any more.
    """
    manifest = read_manifest(folder)
    with ScoreStore(store, manifest.spec.unit, AsOf(manifest.ensemble_id, manifest.snapshot)) as as_it_was:
        selection = select_batch(as_it_was, manifest.spec)
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
