"""What the engine adds to its networks, on one thread, in CPU time, for growing ensembles and frames."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from benchmarks.camvid import has_camvid, write_camvid
from benchmarks.engines.plan import Plan, short
from benchmarks.engines.report import Report, Row
from benchmarks.engines.turns import take_pairs
from benchmarks.engines.ways import Frames, networks_alone, score_batch
from benchmarks.toy import write_toys
from fleetsift import open_engine
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble

_TURN_MS = 50  # of the networks, in each turn: a single small frame would be timed from cold caches


def measure_shares(plan: Plan, folder: Path, report: Report) -> None:
    """The engine against its networks, which give logits at the size that is scored.

    Normalisation is in both, reduction and statistics in one. At full size the networks enlarge their logits; the
    engine leaves that to the reduction, so that it may well need less than they.
    """
    rows: list[Row] = [("ensemble", "engine, CPU ms", "networks alone, CPU ms", "added", "quartiles")]
    for name, path in _cases(plan, folder).items():
        engine, ensemble = open_engine(path, threads=1), read_ensemble(path)
        frames = _frames_of(ensemble, _TURN_MS)
        ways = score_batch(engine, frames), networks_alone(ensemble, frames, 1)
        pairs = take_pairs(*ways, plan.seconds / 7, plan.turns)
        engine.close()
        of_engine, of_networks = (statistics.median(ms) for ms in zip(*pairs, strict=True))
        low, added, high = statistics.quantiles([whole / part - 1 for whole, part in pairs], method="inclusive")
        rows.append((name, f"{of_engine:.2f}", f"{of_networks:.2f}", f"{added:+.1%}", f"{low:+.1%} to {high:+.1%}"))
        report.figures |= {f"cpu_ms_{name}": of_engine, f"reduction_share_{name}": added}
    report.sections.append(("What the engine adds to its networks: reduction, statistics, rows", rows))


def _frames_of(ensemble: Ensemble, ms: float) -> Frames:
    """Frames enough that the networks are busy with them for so long."""
    one = np.random.default_rng(0).integers(0, 256, (1, *ensemble.spec.frame_size, 3), dtype=np.uint8)
    alone = networks_alone(ensemble, one, 1)
    fastest = min(of_networks for of_networks, _ in take_pairs(alone, alone, 0, 2))
    return np.repeat(one, max(1, round(ms / fastest)), axis=0)


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
