"""Verbs of the stream: announce frames, and score them."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from fleetsift.cli.stopping import stopping
from fleetsift.cli.words import AsJson, FleetFile, say
from fleetsift.configuration import read_fleet
from fleetsift.logs import LogForm, LogLevel, LogStyle, configure_logs


def publish(
    fleet: FleetFile,
    frames: Annotated[
        str,
        typer.Argument(help="A folder, glob or address of images and videos, or a manifest (.jsonl, .csv, .parquet)."),
    ],
    every_s: Annotated[float | None, typer.Option(help="Seconds between frames of a video; default 1.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a video, instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Announce frames on the topic."""
    from fleetsift.console import count_up
    from fleetsift.streaming.kafka.publish import publish as send
    from fleetsift.streaming.manifests.messages import read_references

    spec = read_fleet(fleet)
    references = read_references(frames, every_s=every_s, fps=fps)
    sent = send(spec.kafka, references, on_sent=count_up("references sent"))
    say(as_json, {"published": sent, "topic": spec.kafka.topic}, f"published {sent} references to {spec.kafka.topic}")


def run(
    fleet: FleetFile,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop at the topic's present end.")] = False,
    log: Annotated[LogForm, typer.Option("--log", envvar="FLEETSIFT_LOG", help="How events are logged.")] = (
        LogForm.HUMAN
    ),
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            "--log-level",
            envvar="FLEETSIFT_LOG_LEVEL",
            help="The least severe; default: warning for people, info as JSON.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the frames of topic or manifest into the store, until stopped; what was read is published first."""
    from fleetsift.console import Gauge, describe_rows
    from fleetsift.streaming.fleet.supervisor import run_fleet

    configure_logs(LogStyle(log, log_level))
    spec = read_fleet(fleet)
    with stopping() as (stop, interrupted), redirect_stdout(sys.stderr), Gauge() as gauge:  # Ray prints its warnings
        done = run_fleet(spec, until_end=until_end, stop=stop, on_progress=gauge.show)
    speed = done.frames / done.elapsed_s if done.elapsed_s else 0.0
    rows = describe_rows(done.rows) or "nothing new"
    if done.sealed_offsets:
        rows += f"; {done.sealed_offsets} offsets that retention had removed were passed over"
    say(
        as_json,
        {"rows": done.rows, "elapsed_s": round(done.elapsed_s, 3), "frames_per_s": round(speed, 3)}
        | {"restarts": done.restarts, "sealed_offsets": done.sealed_offsets, "store": spec.store.path},
        f"{done.frames} rows in {done.elapsed_s:.1f} s ({speed:.1f} frames/s): {rows}; store {spec.store.path}",
    )
    if interrupted.is_set():
        raise KeyboardInterrupt
