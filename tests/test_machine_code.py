"""Machine code on disk is never that of sources of another day."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fleetsift

SCRIPT = """
import numpy as np
from fleetsift.engines.compiled.classes import reduce_classes
from fleetsift.engines.compiled.reduction import reduce_logits
print(reduce_logits(np.zeros((1, 2, 1, 1), np.float32)).map_of("entropy")[0, 0], len(reduce_classes.stats.cache_hits))
"""


def entropy_of_even_odds(root: Path) -> tuple[float, bool]:
    """As a new process computes it from the package in a folder, and whether it found the code compiled."""
    places = {"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(root / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **places},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    nats, hits = done.stdout.split()
    return float(nats), hits != "0"


@pytest.mark.slow
def test_what_changes_in_an_inner_function_is_compiled_anew(tmp_path: Path) -> None:
    package = tmp_path / "fleetsift"
    shutil.copytree(Path(fleetsift.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    first, again = entropy_of_even_odds(tmp_path), entropy_of_even_odds(tmp_path)
    assert (first[1], again[1]) == (False, True)
    assert first[0] == again[0] == pytest.approx(0.6931472)
    inner = package / "engines" / "compiled" / "elementary.py"
    text = inner.read_text()
    assert text.endswith("    return f + y + n * _LN2_HIGH\n")
    inner.write_text(text.replace("    return f + y + n * _LN2_HIGH\n", "    return (f + y + n * _LN2_HIGH) * _HALF\n"))
    changed, was_there = entropy_of_even_odds(tmp_path)
    assert not was_there
    assert changed != pytest.approx(0.6931472)
