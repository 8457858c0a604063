"""Verbs to begin with: a configuration to edit, schemas, the demo."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleetsift.cli.stopping import stopping
from fleetsift.configuration import example_fleet
from fleetsift.errors import ConfigError
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.messages import FrameMessage
from fleetsift.schemas.reading import json_schema
from fleetsift.schemas.selection import SelectionSpec


class SchemaOf(StrEnum):
    """What has a JSON Schema."""

    FLEET = "fleet"
    ENSEMBLE = "ensemble"
    SELECTION = "selection"
    MESSAGE = "message"


_KINDS: dict[SchemaOf, type[msgspec.Struct]] = {
    SchemaOf.FLEET: FleetSpec,
    SchemaOf.ENSEMBLE: EnsembleSpec,
    SchemaOf.SELECTION: SelectionSpec,
    SchemaOf.MESSAGE: FrameMessage,
}


def init(folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path()) -> None:
    """Write a commented fleet.yaml to start from, and the schema by which editors complete it."""
    target = folder / "fleet.yaml"
    if target.exists():
        raise ConfigError(f"{target}: is there already; move it away or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(example_fleet(), encoding="utf-8")
    (folder / "fleet.schema.json").write_text(json.dumps(json_schema(FleetSpec), indent=2) + "\n", encoding="utf-8")
    typer.echo(f"{target}: edit it, then `fleetsift publish {target} FRAMES` and `fleetsift run {target}`")


def schema(of: Annotated[SchemaOf, typer.Argument(help="Of which file or message.")] = SchemaOf.FLEET) -> None:
    """Print a JSON Schema."""
    typer.echo(json.dumps(json_schema(_KINDS[of]), indent=2))


def demo(
    folder: Annotated[Path, typer.Option("--out", "-o", help="Where to work.")] = Path("demo-output"),
    frames: Annotated[int, typer.Option(min=24, help="About how many frames the simulated fleet sends.")] = 560,
) -> None:
    """Show the whole way of a frame on embedded parts: fleet, broker, stream, SQL, batch, report."""
    from fleetsift.demo.tour import take_tour

    with stopping() as (stop, interrupted):
        take_tour(folder, frames, stop)
    if interrupted.is_set():
        raise KeyboardInterrupt
