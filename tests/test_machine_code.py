"""Machine code on disk is never that of sources of another day."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fleetsift
from fleetsift.machine_code import compile_and_keep

OF_ENGINES = """
import numpy as np
from fleetsift.engines.compiled.classes import reduce_classes
from fleetsift.engines.compiled.reduction import reduce_logits
print(reduce_logits(np.zeros((1, 2, 1, 1), np.float32)).map_of("entropy")[0, 0], len(reduce_classes.stats.cache_hits))
"""
OF_SELECTORS = """
import numpy as np
from fleetsift.selectors.objectives.typicality import mean_distances, typicality
points = np.array([[0], [1], [2]], np.float32)
print(typicality(points, np.arange(3), 1)[0], len(mean_distances.stats.cache_hits))
"""


def answer(script: str, root: Path) -> tuple[float, bool]:
    """What a new process computes by the package in a folder, and whether it found the code compiled."""
    places = {"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(root / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **places},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    number, hits = done.stdout.split()
    return float(number), hits != "0"


OF_A_LOGARITHM = "    return f + y + n * _LN2_HIGH\n", "    return (f + y + n * _LN2_HIGH) * _HALF\n"
OF_A_DISTANCE = " += difference * difference\n", " += 4 * difference * difference\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "expected", "inner", "change"),
    [
        (OF_ENGINES, 0.6931472, "engines/compiled/elementary.py", OF_A_LOGARITHM),
        (OF_SELECTORS, 1.0, "selectors/objectives/diversity.py", OF_A_DISTANCE),
    ],
    ids=["engines", "selectors"],
)
def test_what_changes_in_an_inner_function_is_compiled_anew(
    tmp_path: Path, script: str, expected: float, inner: str, change: tuple[str, str]
) -> None:
    package = tmp_path / "fleetsift"
    shutil.copytree(Path(fleetsift.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    first, again = answer(script, tmp_path), answer(script, tmp_path)
    assert (first[1], again[1]) == (False, True)
    assert first[0] == again[0] == pytest.approx(expected)
    text = (package / inner).read_text()
    assert text.count(change[0]) == 1
    (package / inner).write_text(text.replace(*change))
    changed, was_there = answer(script, tmp_path)
    assert not was_there
    assert changed != pytest.approx(expected)


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same() -> None:
    namespace: dict[str, Any] = {}
    exec("def halve(values):\n    values[0] /= 2", namespace)  # in no file, so there is no place for its cache
    values = np.ones(1)
    compile_and_keep(namespace["halve"], [Path(__file__)])(values)
    assert values[0] == 0.5
