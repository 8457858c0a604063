"""How high the memory of a process rises with the members."""

from __future__ import annotations

from pathlib import Path

from benchmarks.engines.plan import Plan, short
from benchmarks.engines.report import Report, Row
from benchmarks.peak import THREADS, peak_mib
from benchmarks.toy import write_toys

_WAYS = {  # the resolution, whether the networks convolve at full size, who scores
    "engine": ("native", False, "engine"),
    "engine, full size": ("full", False, "engine"),
    "engine, full size refined": ("full", True, "engine"),
    "naive": ("native", False, "naive"),
}


def measure_memory(plan: Plan, folder: Path, report: Report) -> None:
    """A process for every case: the toy at growing M, and what a member adds."""
    rows: list[Row] = [("members", *(f"{way}, MiB" for way in _WAYS))]
    peaks: dict[str, list[float]] = {way: [] for way in _WAYS}
    for members in plan.scaled_members:
        for way, (resolution, refines, runs) in _WAYS.items():
            ensemble = write_toys(folder, members, plan.toy_size, resolution, refines=refines)
            peaks[way].append(peak_mib(ensemble, runs))
        rows.append((f"{members}", *(f"{of_way[-1]:.0f}" for of_way in peaks.values())))
    report.sections.append((f"Peak memory of a process, toy at {short(plan.toy_size)}, {THREADS} threads", rows))
    for way, of_way in peaks.items():
        growth = (of_way[-1] - of_way[0]) / (plan.scaled_members[-1] - plan.scaled_members[0])
        report.figures[f"mib_a_member_{way.replace(', ', '_').replace(' ', '_')}"] = growth
