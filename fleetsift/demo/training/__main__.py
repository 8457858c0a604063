"""The command line of the training."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.demo.training.ensemble import train_ensemble
from fleetsift.demo.training.learning import Plan


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m fleetsift.demo.training", description="Train the demo's ensemble.")
    parser.add_argument("--out", type=Path, default=demo_ensemble().parent, help="where to write (%(default)s)")
    parser.add_argument("--steps", type=int, default=Plan().steps, help="optimiser steps a member (%(default)s)")
    options = parser.parse_args()
    record = train_ensemble(Plan(steps=options.steps), options.out)
    print(json.dumps(record.information, indent=1))


if __name__ == "__main__":
    main()
