"""Verbs for whoever keeps a stream running: how far it is, what failed, and a store that stays quick to read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetsift.cli.words import AsJson, FleetFile, say
from fleetsift.configuration import read_fleet
from fleetsift.errors import FleetsiftError, StoreSilent
from fleetsift.schemas.fleet import FleetSpec

if TYPE_CHECKING:
    from rich.table import Table

    from fleetsift.streaming.operations.status import FleetStatus

_LOOK_AGAIN_S = 2.0
_LEAST_ROWS = 5
_ROWS_OF_FRAME = 9  # title, names, sums, caption, and the lines between


def status(
    fleet: FleetFile,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far the stream is: lag, speed, chain ends and errors by partition, from store and topic alone."""
    from rich.console import Console
    from rich.live import Live

    from fleetsift.board import status_table

    looks = _looks(read_fleet(fleet), watch=watch)
    if as_json:
        for now in looks:
            typer.echo(json.dumps(asdict(now) if is_dataclass(now) else {"error": str(now)}))
        return
    console = Console()

    def shown(now: FleetStatus | FleetsiftError) -> Table | str:
        if isinstance(now, FleetsiftError):
            return str(now)
        return status_table(now, most=max(_LEAST_ROWS, console.height - _ROWS_OF_FRAME))

    first = shown(next(looks))
    if not watch:
        console.print(first)
        return
    with Live(first, console=console, auto_refresh=False) as live:
        for now in looks:
            live.update(shown(now), refresh=True)


def _looks(spec: FleetSpec, *, watch: bool) -> Iterator[FleetStatus | FleetsiftError]:
    """How far a stream is; who watches is told every few seconds, and waits for a source or store that is away."""
    from fleetsift.streaming.operations.status import read_status
    from fleetsift.streaming.source import SourceSilent

    yield read_status(spec)
    while watch:
        time.sleep(_LOOK_AGAIN_S)
        try:
            yield read_status(spec)
        except (SourceSilent, StoreSilent) as silence:
            yield silence


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


def dead_letters(
    fleet: FleetFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file to write them all to, .jsonl or .parquet, instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the dead letters that are missing to their topic, or write all of them to a file."""
    from fleetsift.streaming.operations.dead_letters import carry_letters, write_letters

    spec = read_fleet(fleet)
    if out is None:
        sent, topic = carry_letters(spec), spec.kafka.dead_letters
        say(as_json, {"sent": sent, "topic": topic}, f"sent {sent} dead letters to {topic}")
    else:
        written = write_letters(spec, out)
        say(as_json, {"written": written, "file": str(out)}, f"wrote {written} dead letters to {out}")
