"""The command line: parse, then one library call a verb.

Exit codes: 0 done, 1 refused or failed with one clear line, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from typer.core import TyperGroup

from fleetsift.configuration import example_fleet, read_fleet, read_spec
from fleetsift.errors import ConfigError, EnsembleError, FleetsiftError
from fleetsift.printing import TableFormat, print_relation
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.messages import FrameMessage
from fleetsift.schemas.reading import json_schema
from fleetsift.schemas.selection import SelectionSpec, resolve_files

if TYPE_CHECKING:
    from fleetsift.store.views import ScoreStore


class _Verbs(TyperGroup):
    """Turns what a verb raises into one line and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except FleetsiftError as error:
            typer.echo(f"fleetsift: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("fleetsift: interrupted", err=True)
            raise typer.Exit(130) from error
        except BrokenPipeError as error:  # whoever read our output has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error


app = typer.Typer(
    cls=_Verbs,
    help="Score every camera frame a fleet sends, and sift out the few worth labelling.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FleetFile = Annotated[Path, typer.Argument(help="The configuration file, such as fleet.yaml.", show_default=False)]
EnsembleFile = Annotated[Path, typer.Argument(help="The ensemble file, such as ensemble.yaml.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


class SchemaOf(StrEnum):
    """What has a JSON Schema."""

    FLEET = "fleet"
    ENSEMBLE = "ensemble"
    SELECTION = "selection"
    MESSAGE = "message"


class HeatOf(StrEnum):
    """What a heat map can show."""

    ENTROPY = "entropy"
    MUTUAL_INFORMATION = "mutual_information"


_KINDS: dict[SchemaOf, type[msgspec.Struct]] = {
    SchemaOf.FLEET: FleetSpec,
    SchemaOf.ENSEMBLE: EnsembleSpec,
    SchemaOf.SELECTION: SelectionSpec,
    SchemaOf.MESSAGE: FrameMessage,
}


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path()) -> None:
    """Write a commented fleet.yaml to start from, and the schema by which editors complete it."""
    target = folder / "fleet.yaml"
    if target.exists():
        raise ConfigError(f"{target}: is there already; move it away or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(example_fleet(), encoding="utf-8")
    (folder / "fleet.schema.json").write_text(json.dumps(json_schema(FleetSpec), indent=2) + "\n", encoding="utf-8")
    typer.echo(f"{target}: edit it, then `fleetsift publish {target} FRAMES` and `fleetsift run {target}`")


@app.command()
def schema(of: Annotated[SchemaOf, typer.Argument(help="Of which file or message.")] = SchemaOf.FLEET) -> None:
    """Print a JSON Schema."""
    typer.echo(json.dumps(json_schema(_KINDS[of]), indent=2))


@app.command()
def publish(
    fleet: FleetFile,
    frames: Annotated[Path, typer.Argument(help="A folder of images, or a manifest: .jsonl, .csv, .parquet.")],
    as_json: AsJson = False,
) -> None:
    """Announce frames on the topic."""
    from fleetsift.console import count_up
    from fleetsift.streaming.files import read_references
    from fleetsift.streaming.kafka import publish as send

    spec = read_fleet(fleet)
    sent = send(spec.kafka, read_references(frames), on_sent=count_up("references sent"))
    _say(as_json, {"published": sent, "topic": spec.kafka.topic}, f"published {sent} references to {spec.kafka.topic}")


@app.command()
def run(
    fleet: FleetFile,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop at the topic's present end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score the topic's frames into the store, until stopped; what was read is published before it ends."""
    from fleetsift.console import Gauge, describe_rows
    from fleetsift.streaming.supervisor import run_fleet

    spec = read_fleet(fleet)
    with _stopping() as (stop, interrupted), Gauge() as gauge:
        done = run_fleet(spec, until_end=until_end, stop=stop, on_progress=gauge.show)
    speed = done.frames / done.elapsed_s if done.elapsed_s else 0.0
    rows = describe_rows(done.rows) or "nothing new"
    _say(
        as_json,
        {"rows": done.rows, "elapsed_s": round(done.elapsed_s, 3), "frames_per_s": round(speed, 3)}
        | {"restarts": done.restarts, "store": spec.store.path},
        f"{done.frames} rows in {done.elapsed_s:.1f} s ({speed:.1f} frames/s): {rows}; store {spec.store.path}",
    )
    if interrupted.is_set():
        raise KeyboardInterrupt


@app.command()
def sql(
    store: Annotated[str, typer.Argument(help="The score store: a folder, or s3://, gs://, az://.")],
    query: Annotated[str, typer.Argument(help="One SELECT over the views `frames` (scored) and `rows` (all).")],
    style: Annotated[TableFormat, typer.Option("--format", help="How to print the rows.")] = TableFormat.TABLE,
) -> None:
    """Ask the store a question."""
    from fleetsift.store.views import ScoreStore, query_errors

    with ScoreStore(store) as opened, query_errors():
        print_relation(opened.sql(query), style)


SpecFile = Annotated[Path | None, typer.Option("--spec", help="A selection file, instead of the section.")]
Budget = Annotated[int | None, typer.Option(min=1, help="How many frames, instead of the file's.")]
Strategy = Annotated[str | None, typer.Option(help="A strategy by name, such as entropy, coreset or coral.")]


@app.command()
def select(
    fleet: FleetFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the batch.")],
    spec_file: SpecFile = None,
    budget: Budget = None,
    strategy: Strategy = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the batch that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pick the batch to label, with a receipt for each pick."""
    from fleetsift.console import describe_selection
    from fleetsift.selectors.batch import write_batch
    from fleetsift.selectors.select import select_batch

    with _selecting(fleet, spec_file, budget, strategy) as (store, spec):
        selection = select_batch(store, spec)
        write_batch(out, selection, store.snapshot(), overwrite=overwrite)
    summary: dict[str, Any] = {"picked": len(selection.picks), "budget": spec.budget, "pool": selection.pool_size}
    summary |= {"shortfall": selection.shortfall, "owed": selection.owed, "batch": str(out)}
    _say(as_json, summary, describe_selection(selection, out))


@app.command()
def why(
    fleet: FleetFile,
    frame_id: Annotated[str, typer.Argument(help="The frame to explain.")],
    spec_file: SpecFile = None,
    budget: Budget = None,
    strategy: Strategy = None,
    as_json: AsJson = False,
) -> None:
    """Say why a frame was not picked, and the least change of budget or cap that admits it."""
    from fleetsift.console import describe_answer
    from fleetsift.selectors.why import why_in_store

    with _selecting(fleet, spec_file, budget, strategy) as (store, spec):
        answer = why_in_store(store, spec, frame_id)
    _say(as_json, msgspec.to_builtins(answer), describe_answer(answer))


@app.command()
def report(
    fleet: FleetFile,
    batch: Annotated[Path, typer.Argument(help="The folder that `select` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    as_json: AsJson = False,
) -> None:
    """Show a batch as one HTML page: picks with heat maps, pool and batch side by side, what the caps did."""
    from fleetsift.report.verb import report_batch

    report_batch(read_fleet(fleet), batch, out)
    _say(as_json, {"report": str(out.resolve())}, str(out.resolve()))


@app.command()
def check(
    ensemble: EnsembleFile,
    frames: Annotated[
        Path | None, typer.Argument(help="An image, a folder of images, or a manifest; default: drawn canary frames.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an ensemble: are its scores true, how fast is it, and what would scoring at full size change?"""
    from rich.console import Console

    from fleetsift.console import count_up
    from fleetsift.inspection.check import check_ensemble
    from fleetsift.inspection.table import show_findings

    findings = check_ensemble(ensemble, frames, on_frame=count_up("frames scored", every=100))
    if as_json:
        typer.echo(msgspec.json.encode(findings))
    else:
        Console(highlight=False).print(show_findings(findings))
    if findings.broken:
        raise EnsembleError(f"{ensemble}: {findings.broken[0]}")


@app.command()
def heatmap(
    ensemble: EnsembleFile,
    frames: Annotated[Path, typer.Argument(help="An image, a folder of images, or a manifest.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the heat maps.")],
    of_class: Annotated[list[str] | None, typer.Option("--class", help="Also this class's share; repeatable.")] = None,
    quantity: Annotated[HeatOf | None, typer.Option(help="Only this one, instead of both.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show where an ensemble is unsure: its maps over each frame at full size, enlarged linearly, on one scale."""
    from fleetsift.console import count_up
    from fleetsift.inspection.heatmaps import write_heatmaps

    quantities = [quantity.value] if quantity else [q.value for q in HeatOf]
    made = write_heatmaps(
        ensemble,
        frames,
        out,
        classes=of_class or (),
        quantities=quantities,
        on_frame=count_up("looks at frames, two at each", every=50),
    )
    for frame_id, reason in made.left_out.items():
        typer.echo(f"left out {frame_id}: {reason}", err=True)
    _say(as_json, msgspec.to_builtins(made, enc_hook=str), f"wrote {len(made.written)} heat maps into {out}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", "-o", help="Where to work.")] = Path("demo-output"),
    frames: Annotated[int, typer.Option(min=24, help="About how many frames the simulated fleet sends.")] = 560,
) -> None:
    """Show the whole way of a frame on embedded parts: fleet, broker, stream, SQL, batch, report."""
    from fleetsift.demo.tour import take_tour

    with _stopping() as (stop, interrupted):
        take_tour(folder, frames, stop)
    if interrupted.is_set():
        raise KeyboardInterrupt


def main() -> None:
    """Run one verb and leave with its exit code."""
    app(prog_name="fleetsift")


def _say(as_json: bool, result: dict[str, Any], line: str) -> None:
    typer.echo(json.dumps(result) if as_json else line)


@contextmanager
def _selecting(
    fleet: Path, spec_file: Path | None, budget: int | None, strategy: str | None
) -> Iterator[tuple[ScoreStore, SelectionSpec]]:
    """The store and the specification that the options ask for."""
    from fleetsift.selectors.strategies import apply_strategy
    from fleetsift.store.views import ScoreStore

    config = read_fleet(fleet)
    spec = resolve_files(read_spec(spec_file, SelectionSpec), spec_file.parent) if spec_file else config.selection
    spec = msgspec.structs.replace(spec, budget=budget or spec.budget)
    with ScoreStore(config.store.path) as store:
        yield store, apply_strategy(store, strategy, spec) if strategy else spec


@contextmanager
def _stopping() -> Iterator[tuple[Event, Event]]:
    """Two events: `stop`, set by SIGTERM and Ctrl-C, and `interrupted`, set by Ctrl-C; a second Ctrl-C ends at once."""
    stop, interrupted = Event(), Event()

    def on_interrupt(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        typer.echo("stopping: what was read is being published (again to end at once)", err=True)
        interrupted.set()
        stop.set()

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, on_interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: stop.set()),
    }
    try:
        yield stop, interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
