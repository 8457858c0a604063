"""Verbs about an ensemble: is it right, how fast is it, and where is it unsure?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleetsift.cli.words import AsJson, CudaGraph, EnsembleFile, Half, Plans, RuntimeOption, runtime_of, say
from fleetsift.errors import EnsembleError

SomeFrames = Annotated[
    Path | None, typer.Argument(help="An image, a folder of images, or a manifest; default: drawn canary frames.")
]


class HeatOf(StrEnum):
    """What a heat map can show."""

    ENTROPY = "entropy"
    MUTUAL_INFORMATION = "mutual_information"


def check(
    ensemble: EnsembleFile,
    frames: SomeFrames = None,
    runtime: RuntimeOption = "cpu",
    half: Half = False,
    cuda_graph: CudaGraph = False,
    plans: Plans = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames scored at once.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Check an ensemble: are its scores true, how fast is it, would full size or float16 rank frames so too?"""
    from rich.console import Console

    from fleetsift.console import count_up
    from fleetsift.inspection.check import check_ensemble
    from fleetsift.inspection.table import show_findings

    findings = check_ensemble(
        ensemble,
        frames,
        runtime=runtime_of(runtime, half=half, cuda_graph=cuda_graph, plans=plans),
        batch=batch,
        on_frame=count_up("frames scored", every=100),
    )
    if as_json:
        typer.echo(msgspec.json.encode(findings))
    else:
        Console(highlight=False).print(show_findings(findings))
    if findings.broken:
        raise EnsembleError(f"{ensemble}: {findings.broken[0]}")


def bench(
    ensemble: EnsembleFile,
    frames: SomeFrames = None,
    runtime: RuntimeOption = "cpu",
    half: Half = False,
    cuda_graph: CudaGraph = False,
    plans: Plans = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Frames scored at once; repeatable; default: 1, 2, 4, 8 and 16.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure an ensemble here: frames per second by batch, and how many threads keep it fed."""
    from rich.console import Console

    from fleetsift.inspection.bench import BATCHES, bench_ensemble
    from fleetsift.inspection.table import show_paces

    paces = bench_ensemble(
        ensemble,
        frames,
        runtime=runtime_of(runtime, half=half, cuda_graph=cuda_graph, plans=plans),
        batch_sizes=batch or BATCHES,
        on_batch=lambda size: typer.echo(f"measuring batches of {size}", err=True),
    )
    if as_json:
        typer.echo(msgspec.json.encode(paces))
    else:
        Console(highlight=False).print(show_paces(paces))


def heatmap(
    ensemble: EnsembleFile,
    frames: Annotated[Path, typer.Argument(help="An image, a folder of images, or a manifest.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the heat maps.")],
    of_class: Annotated[
        list[str] | None, typer.Option("--class", help="Also this class's share; repeatable; * for all.")
    ] = None,
    quantity: Annotated[HeatOf | None, typer.Option(help="Only this one, instead of both.")] = None,
    runtime: RuntimeOption = "cpu",
    half: Half = False,
    as_json: AsJson = False,
) -> None:
    """Show where an ensemble is unsure: its maps over each frame, pixel by pixel, on one scale."""
    from fleetsift.console import count_up
    from fleetsift.inspection.heatmaps import write_heatmaps

    quantities = [quantity.value] if quantity else [q.value for q in HeatOf]
    made = write_heatmaps(
        ensemble,
        frames,
        out,
        classes=None if of_class == ["*"] else of_class or (),
        quantities=quantities,
        runtime=runtime_of(runtime, half=half),
        on_frame=count_up("looks at frames, two at each", every=50),
    )
    for frame_id, reason in made.left_out.items():
        typer.echo(f"left out {frame_id}: {reason}", err=True)
    say(as_json, msgspec.to_builtins(made, enc_hook=str), f"wrote {len(made.written)} heat maps into {out}")
