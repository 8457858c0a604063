"""What the verbs share: the words that several of them take, and how they answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetsift.errors import ConfigError
from fleetsift.schemas.runtime import RuntimeName, RuntimeSpec
from fleetsift.schemas.selection import STRATEGIES

FleetFile = Annotated[Path, typer.Argument(help="The configuration file, such as fleet.yaml.", show_default=False)]
EnsembleFile = Annotated[Path, typer.Argument(help="The ensemble file, such as ensemble.yaml.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SpecFile = Annotated[Path | None, typer.Option("--spec", help="A selection file, instead of the section.")]
Budget = Annotated[int | None, typer.Option(min=1, help="How many frames, instead of the file's.")]
Strategy = Annotated[str | None, typer.Option(help=f"Instead of objectives: {', '.join(STRATEGIES)}.")]
RuntimeOption = Annotated[RuntimeName, typer.Option("--runtime", help="What runs the networks.")]
Half = Annotated[bool, typer.Option("--half", help="Networks in float16, which a CPU only imitates.")]
CudaGraph = Annotated[bool, typer.Option("--cuda-graph", help="With cuda: record the kernels once and replay them.")]
Plans = Annotated[
    str | None, typer.Option(help="Folder for what TensorRT builds; default: `plans` beside the ensemble file.")
]

Continue = Annotated[
    list[Path] | None, typer.Option("--continue", help="An earlier batch that this one goes on from; may be repeated.")
]


def runtime_of(
    name: RuntimeName, *, half: bool = False, cuda_graph: bool = False, plans: str | None = None
) -> RuntimeSpec:
    """What the options say together; raises ConfigError where they cannot all be meant."""
    try:
        return RuntimeSpec(name=name, half=half, cuda_graph=cuda_graph, plans=plans)
    except ValueError as error:
        raise ConfigError(f"{error}; choose another --runtime") from error


def say(as_json: bool, result: dict[str, Any], line: str) -> None:
    """Print a result for machines, or as a line for people."""
    typer.echo(json.dumps(result) if as_json else line)
