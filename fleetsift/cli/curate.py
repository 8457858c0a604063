"""Verbs over the rows of a store: ask, select, explain, show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from fleetsift.cli.words import AsJson, Budget, Continue, FleetFile, SpecFile, Strategy, say
from fleetsift.configuration import read_fleet, read_spec
from fleetsift.printing import TableFormat, print_relation
from fleetsift.schemas.selection import SelectionSpec, resolve_files

if TYPE_CHECKING:
    from fleetsift.store.views import ScoreStore


def sql(
    store: Annotated[str, typer.Argument(help="The score store: a folder, or s3://, gs://, az://.")],
    query: Annotated[str, typer.Argument(help="One SELECT over the views `frames` (scored) and `rows` (all).")],
    style: Annotated[TableFormat, typer.Option("--format", help="How to print the rows.")] = TableFormat.TABLE,
) -> None:
    """Ask the store a question."""
    from fleetsift.store.views import ScoreStore, query_errors

    with ScoreStore(store) as opened, query_errors():
        print_relation(opened.sql(query), style)


def select(
    fleet: FleetFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the batch.")],
    spec_file: SpecFile = None,
    budget: Budget = None,
    strategy: Strategy = None,
    earlier: Continue = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the batch that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pick the batch to label, with a receipt for each pick."""
    from fleetsift.console import describe_selection
    from fleetsift.selectors.batches.batch import write_batch
    from fleetsift.selectors.select import select_batch

    with _selecting(fleet, spec_file, budget, strategy, earlier) as (store, spec):
        selection = select_batch(store, spec)
        write_batch(out, selection, store.snapshot(), overwrite=overwrite)
    summary: dict[str, Any] = {"picked": len(selection.picks), "budget": spec.budget, "pool": selection.pool_size}
    summary |= {"shortfall": selection.shortfall, "blocked_by": selection.blocked_by, "owed": selection.owed}
    summary |= {"owed_for": selection.owed_for, "batch": str(out)}
    say(as_json, summary, describe_selection(selection, out))


def why(
    fleet: FleetFile,
    frame_id: Annotated[str, typer.Argument(help="The frame to explain.")],
    spec_file: SpecFile = None,
    budget: Budget = None,
    strategy: Strategy = None,
    earlier: Continue = None,
    as_json: AsJson = False,
) -> None:
    """Say why a frame was not picked, and the least change of budget or rules that admits it."""
    from fleetsift.console import Searching, describe_answer
    from fleetsift.selectors.explaining.why import why_in_store

    with _selecting(fleet, spec_file, budget, strategy, earlier) as (store, spec), Searching() as searching:
        answer = why_in_store(store, spec, frame_id, searching.show)
    say(as_json, msgspec.to_builtins(answer), describe_answer(answer))


def replay(
    fleet: FleetFile,
    batch: Annotated[Path, typer.Argument(help="The folder that `select` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Select a batch again, from the store as it was then, and compare it byte for byte."""
    from fleetsift.selectors.explaining.replay import replay_batch

    picked = replay_batch(read_fleet(fleet).store.path, batch)
    say(as_json, {"batch": str(batch), "picked": picked, "same": True}, f"{batch}: the same {picked} picks, every byte")


def report(
    fleet: FleetFile,
    batch: Annotated[Path, typer.Argument(help="The folder that `select` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    against: Annotated[Path | None, typer.Option(help="Another batch of the same store, to compare with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a batch as one HTML page: picks with heat maps, pool and batch side by side, what the rules did."""
    from fleetsift.console import count_up
    from fleetsift.report.verb import report_batch

    report_batch(read_fleet(fleet), batch, out, against, count_up("frames drawn", every=100))
    say(as_json, {"report": str(out.resolve())}, str(out.resolve()))


@contextmanager
def _selecting(
    fleet: Path, spec_file: Path | None, budget: int | None, strategy: str | None, earlier: list[Path] | None
) -> Iterator[tuple[ScoreStore, SelectionSpec]]:
    """The store and the specification that the options ask for."""
    from fleetsift.selectors.strategies import apply_strategy
    from fleetsift.store.views import ScoreStore

    config = read_fleet(fleet)
    spec = resolve_files(read_spec(spec_file, SelectionSpec), spec_file.parent) if spec_file else config.selection
    continues = (*spec.continues, *(str(batch.resolve()) for batch in earlier or ()))
    spec = msgspec.structs.replace(spec, budget=budget or spec.budget, continues=continues)
    with ScoreStore(config.store.path, spec.unit) as store:
        yield store, apply_strategy(store, strategy, spec) if strategy else spec
