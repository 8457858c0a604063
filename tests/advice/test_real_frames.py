"""Redundancy of real frames: a drive's consecutive frames repeat each other, frames from all over do less."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.camvid import write_camvid
from fleetsift.advice.recommend import REDUNDANT
from fleetsift.advice.redundancy import measure_redundancy
from fleetsift.engines.open import open_engine
from fleetsift.schemas.frames import FrameBatch
from fleetsift.selectors.pools.pool import F32
from tests.advice.test_redundancy import sample

FRAMES = 48


def embeddings(folder: Path, data: Path, names: list[str]) -> F32:
    """What the real networks make of some frames, (N, D)."""
    path = write_camvid(folder, data, "native")
    engine = open_engine(path, threads=2)
    pixels = np.stack([np.asarray(Image.open(data / "camvid" / name).convert("RGB")) for name in names])
    found = engine.score(FrameBatch(pixels, (None,) * len(pixels))).embedding
    engine.close()
    return found


@pytest.mark.slow
def test_a_drives_consecutive_frames_are_redundant_and_frames_from_all_drives_less(
    tmp_path: Path, shared_data: Path
) -> None:
    with (shared_data / "camvid" / "index.csv").open() as file:
        names = [line["file"] for line in csv.DictReader(file)]
    consecutive = sorted(name for name in names if name.startswith("val/"))[:FRAMES]
    spread = names[:: len(names) // FRAMES][:FRAMES]
    both = embeddings(tmp_path, shared_data, [*consecutive, *spread])
    everywhere = measure_redundancy(sample(both[FRAMES:], 3), 10)
    alike_below = everywhere.alike_below  # by one measure of what is alike
    drive = measure_redundancy(sample(both[:FRAMES], 1), 10)
    assert drive.within_sessions is not None
    assert drive.within_sessions < alike_below
    pool = measure_redundancy(sample(both, 4), 10)
    assert pool.share_distinct < everywhere.share_distinct
    assert pool.share_distinct < REDUNDANT
