"""What was found, for people and for machines."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Row = tuple[str, ...]


@dataclass(slots=True)
class Report:
    """Figures by name, and the tables people read."""

    figures: dict[str, float] = field(default_factory=dict)
    sections: list[tuple[str, list[Row]]] = field(default_factory=list)  # a title, and rows under a head
    notes: list[str] = field(default_factory=list)


def machine() -> str:
    """The processor, how busy it is, and the versions of what runs on it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    packages = ", ".join(f"{name} {_version(name)}" for name in ("onnxruntime", "torch", "numpy"))
    return (
        f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} CPUs, load {load}; "
        f"Python {platform.python_version()}, {packages}"
    )


def as_text(report: Report) -> str:
    """The tables for a terminal."""
    lines = list(report.notes)
    for title, rows in report.sections:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["", title]
        lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([*lines, "", *(f"{name:46} {value:10.3f}" for name, value in report.figures.items())])


def as_markdown(report: Report, command: str, measured_on: str) -> str:
    """The tables for a file in `benchmarks/results`."""
    lines = ["# Engines", "", f"    {command}", "", f"{datetime.now(tz=UTC).date().isoformat()}; {measured_on}.", ""]
    lines += [f"{note}." for note in report.notes]
    for title, (head, *rows) in report.sections:
        lines += ["", f"## {title}", "", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", "## Figures", "", "| name | value |", "|---|---:|"]
    return "\n".join([*lines, *(f"| `{name}` | {value:.3f} |" for name, value in report.figures.items()), ""])


def write_files(report: Report, measured_on: str, command: str, figures: Path | None, tables: Path | None) -> None:
    """Write the figures as JSON, {name: value}, and the tables as Markdown, each where it is wanted."""
    if figures:
        figures.write_text(json.dumps(report.figures, indent=2) + "\n", encoding="utf-8")
    if tables:
        tables.write_text(as_markdown(report, command, measured_on), encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
