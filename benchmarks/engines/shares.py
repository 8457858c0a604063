"""What the engine adds to its networks, on one thread, in CPU time, for growing ensembles and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.camvid import has_camvid, write_camvid
from benchmarks.engines.plan import Plan, short
from benchmarks.engines.report import Report, Row
from benchmarks.engines.turns import cpu_ms, share_added, take_turns
from benchmarks.engines.ways import networks_alone, score_batch
from benchmarks.toy import write_toys
from fleetsift import open_engine
from fleetsift.engines.ensembles.ensemble import read_ensemble


def measure_shares(plan: Plan, folder: Path, report: Report) -> None:
    """The engine against its networks, which give logits at the size that is scored.

    Normalisation is in both, reduction and statistics in one. At full size the networks enlarge their logits; the
    engine leaves that to the reduction, so that it may well need less than they.
    """
    rows: list[Row] = [("ensemble", "engine, CPU ms", "networks alone, CPU ms", "added")]
    for name, path in _cases(plan, folder).items():
        engine = open_engine(path, threads=1)
        frames = np.random.default_rng(0).integers(0, 256, (1, *engine.frame_size, 3), dtype=np.uint8)
        ways = {"engine": score_batch(engine, frames), "networks": networks_alone(read_ensemble(path), frames, 1)}
        times = take_turns(ways, plan.seconds / 7, plan.turns)
        engine.close()
        ms, added = cpu_ms(times, "engine"), share_added(times, "engine", "networks")
        rows.append((name, f"{ms:.2f}", f"{cpu_ms(times, 'networks'):.2f}", f"{added:+.1%}"))
        report.figures |= {f"cpu_ms_{name}": ms, f"reduction_share_{name}": added}
    report.sections.append(("What the engine adds to its networks: reduction, statistics, rows", rows))


def _cases(plan: Plan, folder: Path) -> dict[str, Path]:
    """Ensemble files by the name of their figures."""
    members, size = plan.toy_members, plan.toy_size
    cases = {f"toy_m{m}_{short(size)}": write_toys(folder, m, size) for m in plan.scaled_members}
    cases["toy_m8"] = write_toys(folder, members, size)
    cases["toy_m8_full"] = write_toys(folder, members, size, "full")
    cases |= {f"toy_m4_{short(s)}": write_toys(folder, min(4, members), s) for s in plan.scaled_sizes}
    if plan.camvid is not None and has_camvid(plan.camvid):
        cases["camvid"] = write_camvid(folder, plan.camvid, "native")
        cases["camvid_full"] = write_camvid(folder, plan.camvid, "full")
    return cases
