"""Verbs for whoever keeps a stream running: how far it is, what failed, and a store that stays quick to read."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from fleetsift.cli.words import AsJson, say


def compact(
    store: Annotated[str, typer.Argument(help="The score store: a folder, or s3://, gs://, az://.")],
    rows: Annotated[int, typer.Option(min=1, help="How many rows make a merged file.")] = 1_000_000,
    everything: Annotated[bool, typer.Option("--all", help="Merge what is left at the end too.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove segments that were merged long ago.")] = False,
    keep_hours: Annotated[float, typer.Option(min=0, help="How long ago, so that nobody reads them still.")] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Merge small segments into large files beside the chain; readers take those, writers never notice."""
    from fleetsift.console import Steps
    from fleetsift.store.compaction import MergeSize, compact_store

    size = MergeSize(rows=rows, everything=everything)
    keep = timedelta(hours=keep_hours) if prune else None
    with Steps("chains") as steps:
        done = compact_store(store, size, keep, datetime.now(UTC), steps.show)
    say(
        as_json,
        asdict(done) | {"store": store},
        f"merged {done.merged_segments} segments into {done.merged_files} files of {done.merged_rows} rows"
        + (f", removed {done.pruned_segments} that were merged long ago" if prune else ""),
    )
