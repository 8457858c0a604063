"""A real detector on real frames: FastestDet, trained on COCO, as its authors published it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from PIL import Image

from fleetsift.engines.networks import network_sha256
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.engines.uncertainty import score_frame
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_close

SIZE = (352, 352)
GIVES = "758"  # the name of the network's only output

Frames = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def frames(shared_data: Path) -> Frames:
    """Seven dash cameras' frames, (7, 352, 352, 3)."""
    files = sorted((shared_data / "samples" / "bdd").glob("*.jpg"))
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize(SIZE[::-1])) for file in files])


@pytest.fixture(scope="module")
def raw(shared_data: Path, frames: Frames) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the network answers by itself, (7, 85, 22, 22)."""
    session = onnxruntime.InferenceSession(
        shared_data / "models" / "fastestdet_coco.onnx", providers=["CPUExecutionProvider"]
    )
    images = np.ascontiguousarray(frames.transpose(0, 3, 1, 2)[:, ::-1], np.float32) / 255
    answers = [session.run([GIVES], {"input.1": image[None]})[0][0] for image in images]
    return np.stack(answers).astype(np.float64)


def write_fastestdet(folder: Path, models: Path, **changes: Any) -> Path:
    """An ensemble file over the network, which stays where it is."""
    file = models / "fastestdet_coco.onnx"
    spec = {
        "name": "fastestdet",
        "task": "detection_heatmap",
        "classes": (models / "coco.names").read_text().split("\n")[:80],
        "members": [{"file": str(file), "sha256": network_sha256(file)}],
        "input": {"height": SIZE[0], "width": SIZE[1], "channels": "bgr"},
        "output": {
            "native": GIVES,
            "activation": "probabilities",
            "channels": {"objectness": 0, "classes": 5},
        },
        "resolution": "native",
        **changes,
    }
    path = folder / "fastestdet.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def test_the_heat_map_is_objectness_times_class_probability(
    tmp_path: Path, shared_data: Path, frames: Frames, raw: Any
) -> None:
    engine = open_engine(write_fastestdet(tmp_path, shared_data / "models"), threads=2)
    scores = engine.score(FrameBatch(frames, (None,) * len(frames)))
    engine.close()
    p = raw[:, :1] * raw[:, 5:]
    rows = [
        score_frame(np.log(of)[None] - np.log1p(-of)[None], RegionSpec(), 0.01, task="detection_heatmap") for of in p
    ]
    assert_close(scores, gather_rows(rows, engine.classes, RegionSpec(), 0, "detection_heatmap"))
    car = engine.classes.index("car")
    assert (scores.by_class.area[:, car] == scores.by_class.area.max(axis=1)).sum() >= 5  # it is cars it sees
