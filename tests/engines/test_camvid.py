"""Five real networks on real frames: the engine against the reference on logits that each gives by itself."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from benchmarks.camvid import camvid_networks, write_camvid
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_close

REGIONS, TOP_SHARE = RegionSpec(), 0.01


def camvid_frames(data: Path, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Frames from all over the index, (N, 360, 480, 3)."""
    with (data / "camvid" / "index.csv").open() as file:
        names = [line["file"] for line in csv.DictReader(file)]
    chosen = names[:: len(names) // count][:count]
    return np.stack([np.asarray(Image.open(data / "camvid" / name).convert("RGB")) for name in chosen])


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "tensor"), [("native", "native"), ("full", "logits")])
def test_scores_are_those_of_the_reference(tmp_path: Path, shared_data: Path, resolution: str, tensor: str) -> None:
    path = write_camvid(tmp_path, shared_data, resolution)
    frames = camvid_frames(shared_data, 4)
    images = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / 255
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3  # the files name the sizes of their outputs inconsistently
    answers = [
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run(
            [tensor, "embedding"], {"images": images}
        )
        for file in camvid_networks(shared_data)
    ]
    engine = open_engine(path, threads=2)
    expected = gather_rows(
        [
            score_frame(np.stack([logits[i] for logits, _ in answers]), REGIONS, TOP_SHARE, answers[0][1][i])
            for i in range(len(frames))
        ],
        engine.classes,
        REGIONS,
        embedding_size=128,
    )
    assert_close(engine.score(FrameBatch(frames, (None,) * len(frames))), expected)
    engine.close()
    assert expected.mutual_information.mean.min() > 0.01  # the members really are five
