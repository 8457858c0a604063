"""The verb that says how to select."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleetsift.cli.words import AsJson, Budget, say
from fleetsift.configuration import read_fleet
from fleetsift.schemas.selection import SelectionSpec

SUFFIXES = (".yaml", ".yml")


def advise(
    source: Annotated[str, typer.Argument(help="A configuration file, or a store: a folder, s3://, gs://, az://.")],
    budget: Budget = None,
    sensor: Annotated[Path | None, typer.Option(help="Write the sensor frames' ids there, one a line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how redundant the pool is, which strategy that asks for, and which frames ask for a clean lens."""
    from fleetsift.advice.advise import advise as measure
    from fleetsift.advice.advise import write_sensor_list
    from fleetsift.advice.words import describe_advice
    from fleetsift.store.views import ScoreStore

    fleet = read_fleet(Path(source)) if source.endswith(SUFFIXES) else None
    spec = fleet.selection if fleet else SelectionSpec()
    spec = msgspec.structs.replace(spec, budget=budget or spec.budget)
    with ScoreStore(fleet.store.path if fleet else source) as store:
        advice = measure(store, spec)
    if sensor:
        write_sensor_list(sensor, advice.sensor)
    say(as_json, msgspec.to_builtins(advice), describe_advice(advice, source))
