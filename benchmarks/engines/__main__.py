"""The engine against what people write, on a six-layer toy and on the real CamVid networks: one run, ratios, medians.

    python -m benchmarks.engines [--quick] [--json FILE] [--markdown FILE]

All ways of a case take turns, each from an idle process; a ratio is the median over turns. Every way has the whole
machine: each runtime with the threads it takes by default, the engine with its budget. What the engine adds to its
networks is measured on one thread, in CPU time. `engine` gives every score of a frame, the others only mean and highest
entropy and mutual information. Peak memory is that of a process for each case. Where a CUDA GPU is, it is measured too:
`python -m benchmarks.engines.gpu` measures it alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engines.gpu import measure_gpu
from benchmarks.engines.memory import measure_memory
from benchmarks.engines.plan import FULL, QUICK, Plan
from benchmarks.engines.report import Report, as_text, machine, write_files
from benchmarks.engines.shares import measure_shares
from benchmarks.engines.speeds import measure_camvid, measure_toy


def measure(plan: Plan, folder: Path) -> Report:
    """Measure everything; files go into `folder`."""
    report = Report()
    measure_toy(plan, folder, report)
    measure_camvid(plan, folder, report)
    measure_shares(plan, folder, report)
    measure_memory(plan, folder, report)
    measure_gpu(report)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within three minutes on two busy cores")
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    parser.add_argument("--markdown", type=Path, help="where to write the tables")
    options = parser.parse_args(arguments)
    measured_on = machine()
    print(measured_on, flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(QUICK if options.quick else FULL, Path(folder))
    report.notes.append(f"It took {time.perf_counter() - began:.0f} s")
    print(as_text(report))
    command = "python -m benchmarks.engines" + (" --quick" if options.quick else "")
    write_files(report, measured_on, command, options.json, options.markdown)


if __name__ == "__main__":
    main()
