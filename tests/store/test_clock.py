"""Clocks that disagree: names come from offsets alone, so a writer that lives in another year writes the same chain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetsift.store.chain import segment_names
from fleetsift.store.folder import open_folder
from tests.oracle import check_store

WRITE = """
import sys
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.rows import RowLayout
from fleetsift.store.writer import StoreWriter
from tests.store.conftest import NAMESPACE, make_refs, make_scores
from datetime import datetime
store, upto = sys.argv[1], int(sys.argv[2])
writer = StoreWriter(StoreSpec(path=store), NAMESPACE, RowLayout(NAMESPACE.ensemble_id, 2), [0])
refs = make_refs(range(writer.ends()[0], upto))
writer.append(refs, make_scores(refs))
writer.flush()
print(datetime.now().year)
"""
YEARS = ("-3y", "+7y", "-1y")


def libfaketime() -> Path:
    found = sorted(Path("/usr/lib").rglob("libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (apt-get install faketime)")
    return found[0]


def write_chain(store: Path, skews: tuple[str, ...], preload: dict[str, str]) -> set[str]:
    """Three writers one after another, each by its own clock; returns the years they lived in."""
    years = set()
    for number, skew in enumerate(skews, start=1):
        environment = os.environ | preload | {"FAKETIME": skew}
        command = [sys.executable, "-c", WRITE, str(store), str(number * 20)]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        years.add(told.stdout.strip())
    return years


@pytest.mark.slow
def test_clocks_that_are_years_apart_change_no_name(tmp_path: Path) -> None:
    preload = {"LD_PRELOAD": str(libfaketime()), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    assert len(write_chain(tmp_path / "skewed", YEARS, preload)) == 3
    write_chain(tmp_path / "true", YEARS, {})
    skewed, true = (segment_names(open_folder(tmp_path / kind)) for kind in ("skewed", "true"))
    assert skewed == true
    check_store(tmp_path / "skewed", {("frames", 0, offset): f"f-0-{offset}" for offset in range(60)})
