"""The findings of a check, and the paces of a bench, as tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleetsift.engines.rows import STATISTICS
from fleetsift.inspection.agreement import Comparison
from fleetsift.inspection.bench import Paces
from fleetsift.inspection.check import Findings
from fleetsift.inspection.variants import OTHER_SIZE, PRECISION
from fleetsift.schemas.scores import QUANTITIES

_OF_A_FRAME = ("objects.", "equal.")  # beginnings of the names of scores that no position has

LOW = 0.95  # a Spearman below this says that a variant puts frames in another order


def show_findings(findings: Findings) -> RenderableType:
    """Everything that was found, with a verdict for each thing that has one."""
    return Group(*_parts(findings))


def show_paces(paces: Paces) -> RenderableType:
    """Frames a second by batch, and what to write into fleet.yaml."""
    height, width = paces.frame_size
    kind = "canary frames" if paces.generated else "frames"
    runs = f"{paces.runtime.name} in {PRECISION[paces.runtime.half]}, {paces.threads} threads"
    table = _table("batch", "frames/s", "ms a frame", "opened in", "memory", "")
    for pace in paces.by_batch:
        table.add_row(
            str(pace.batch),
            f"{pace.frames_per_s:.1f}",
            f"{1000 / pace.frames_per_s:.2f}",
            f"{pace.opened_s:.1f} s",
            f"{pace.peak_mib:.0f} MiB",
            "large enough" if pace == paces.advised else "",
        )
    lines = [f"left out {name}: {reason}" for name, reason in paces.left_out.items()]
    if paces.loaded_per_s is not None:
        lines.append(
            f"one thread reads and decodes {paces.loaded_per_s:.0f} of these frames a second: {paces.loading_threads} "
            f"would keep batches of {paces.advised.batch} fed, beside those that score"
        )
    return Group(
        Text(f"{paces.ensemble_id}: {paces.members} members, scored at {paces.resolution} size on {runs}"),
        Text(f"{paces.frames} {kind} of {width} x {height}, again and again; pixels at hand"),
        table,
        *map(Text, lines),
        Text(f"for fleet.yaml: `workers.batch: {paces.advised.batch}`"),
    )


def _parts(findings: Findings) -> Iterator[RenderableType]:
    height, width = findings.frame_size
    kind = "canary frames" if findings.generated else "frames"
    runs = f"{findings.runtime.name} in {PRECISION[findings.runtime.half]}"
    yield Text(f"{findings.ensemble_id}: {findings.members} members, scored at {findings.resolution} size on {runs}")
    yield Text(f"checked on {findings.frames} {kind} of {width} x {height}, parity on {findings.parity.frames} of them")
    for name, reason in findings.left_out.items():
        yield Text(f"left out {name}: {reason}")
    yield _verdicts(findings)
    yield _deviations(findings)
    if others := {name: off for name, off in findings.parity.deviations.items() if name.startswith(_OF_A_FRAME)}:
        yield _deviations_of_frames(others)
    for comparison in findings.comparisons:
        if comparison.missing:
            yield Text(f"no ranks to compare, {comparison.title}: {comparison.missing}")
            continue
        yield _ranks(comparison)
        if any(rank.spearman < LOW for rank in comparison.ranks):
            yield Text(f"low: by this score {comparison.variant} ranks frames in another order")


def _verdicts(findings: Findings) -> Table:
    name, off = findings.parity.worst
    silent = any(line.startswith("mutual_information") for line in findings.broken)
    alone = findings.members == 1
    table = _table("check", "found", "bound", "verdict")
    table.add_row(
        f"parity ({name})", f"{off:.1e}", f"{findings.parity.bound.most:g}", _verdict(ok=findings.parity.holds)
    )
    table.add_row("frames without numbers", str(findings.problems), "0", _verdict(ok=not findings.problems))
    table.add_row(
        "highest mutual information",
        f"{findings.highest_information_nats:.3g} nats",
        "" if alone else "above 0",
        Text("one member has none") if alone else _verdict(ok=not silent),
    )
    for name, speed in findings.frames_per_s.items():
        what = f"{name} size" if name in OTHER_SIZE else name
        table.add_row(f"frames per second, {what}", f"{speed:.1f}", "", f"{findings.threads} threads")
    return table


def _deviations(findings: Findings) -> Table:
    """How far each score lies from the float64 reference, relative or where it is below one in nats."""
    off = findings.parity.deviations
    table = _table("deviation from float64", *STATISTICS, "by class", "regions")
    for quantity in (*QUANTITIES, "area", "argmax"):
        names = [f"{quantity}.{part}" for part in STATISTICS] + [f"by_class.{quantity}", f"regions.{quantity}"]
        if any(name in off for name in names):
            table.add_row(quantity, *(f"{off[name]:.1e}" if name in off else "" for name in names))
    table.add_row("embedding", f"{off['embedding']:.1e}", "", "", "", "")
    return table


def _deviations_of_frames(off: Mapping[str, float]) -> Table:
    """The same of what a frame has once: scores of its objects, distances of its views."""
    table = _table("deviation from float64", "largest")
    for name, largest in off.items():
        table.add_row(name, f"{largest:.1e}")
    return table


def _ranks(comparison: Comparison) -> Table:
    table = _table(comparison.title, "Spearman", "Kendall", "top 1 %", "top tenth", "")
    for rank in comparison.ranks:
        correlations = _number(rank.spearman), _number(rank.kendall_tau_b)
        overlaps = f"{rank.top_percent_overlap:.0%}", f"{rank.top_tenth_overlap:.0%}"
        table.add_row(rank.score, *correlations, *overlaps, Text("low", "yellow") if rank.spearman < LOW else "")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="left" if name in ("verdict", "") else "right")
    return table


def _verdict(*, ok: bool) -> Text:
    return Text("ok", "green") if ok else Text("BROKEN", "bold red")


def _number(correlation: float) -> str:
    return "all equal" if math.isnan(correlation) else f"{correlation:.4f}"
