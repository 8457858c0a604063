"""The public names are exactly the ones that are meant, they exist, and naming them loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fleetsift


def test_every_public_name_is_there() -> None:
    for name in fleetsift.__all__:
        assert getattr(fleetsift, name).__name__ == name
    assert dir(fleetsift) == fleetsift.__all__


def test_what_type_checkers_see_is_what_is_there() -> None:
    tree = ast.parse(Path(fleetsift.__file__).read_text(encoding="utf-8"))
    seen = {
        f"{node.module}.{alias.asname}"
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {f"{getattr(fleetsift, name).__module__}.{name}" for name in fleetsift.__all__}


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="it has Engine, EnsembleSpec"):
        fleetsift.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("used", "unwanted"),
    [
        ("fleetsift", {"ray", "torch", "onnxruntime", "duckdb", "numba", "kafka"}),
        ("fleetsift.cli", {"ray", "torch", "onnxruntime", "duckdb", "numba", "kafka"}),
        ("fleetsift.streaming.fleet.supervisor, fleetsift.engines.open, fleetsift.selectors.select", {"torch"}),
        ("fleetsift.store.views", {"ray", "torch", "onnxruntime", "kafka"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(used: str, unwanted: set[str]) -> None:
    program = f"import sys, {used}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not unwanted & set(loaded)
