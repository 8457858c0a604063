"""The command line: parse, then one library call a verb.

Exit codes: 0 done, 1 refused or failed with one clear line, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from fleetsift.cli import advice, curate, examine, keep, online, start, stream
from fleetsift.cli.examples import EXAMPLES
from fleetsift.errors import FleetsiftError
from fleetsift.logs import LogForm, log_style


class _Verbs(TyperGroup):
    """Turns what a verb raises into one line and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except FleetsiftError as error:
            if log_style().form is LogForm.JSON:
                logging.getLogger(__name__).error("%s", error, extra={"facts": {"error": type(error).__name__}})
            else:
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

PANELS = {  # in the order of the help
    "Begin": (start.demo, start.init, start.schema),
    "Stream": (stream.publish, stream.run, keep.status, keep.dead_letters, keep.compact),
    "Curate": (curate.sql, advice.advise, curate.select, online.online, curate.why, curate.replay, curate.report),
    "Examine an ensemble": (examine.check, examine.bench, examine.heatmap),
}
for panel, verbs in PANELS.items():
    for verb in verbs:
        name = verb.__name__.replace("_", "-")
        app.command(name, rich_help_panel=panel, epilog="\n\n".join(("For example:", *EXAMPLES[name])))(verb)


def main() -> None:
    """Run one verb and leave with its exit code."""
    app(prog_name="fleetsift")
