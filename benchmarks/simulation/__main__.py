"""A cluster that this machine does not have, in virtual time: many partitions, and workers that join and die.

    python -m benchmarks.simulation [--partitions 1000] [--workers 200] [--minutes 60] [--json FILE]

What is real: how partitions are dealt (`share_out`), and the chain (`resume`, `ChainWriter`, segments as Parquet with
their hashes) on a folder in memory that counts requests. What is simulated: time, the topic, scoring at a given pace,
how long a worker takes to begin, and who dies when. A dead worker's unpublished rows are lost and scored again; a
zombie goes on writing after its partitions were given to others, until it is found out. At the end the oracle counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.simulation.plan import Plan
from benchmarks.simulation.simulate import simulate


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation")
    for name, default in (("partitions", 1000), ("workers", 200), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    logging.getLogger("fleetsift.store").setLevel(logging.ERROR)  # a zombie's lost races are what is simulated
    figures = simulate(Plan(options.partitions, options.workers, options.minutes, seed=options.seed))
    figures["took_s"] = time.perf_counter() - began
    for name, value in figures.items():
        print(f"{name:32} {value:14.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
