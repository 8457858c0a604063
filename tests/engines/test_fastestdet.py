"""A real detector on real frames: FastestDet, trained on COCO, as its authors published it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import yaml
from PIL import Image

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.ensembles.full_size import at_full_size
from fleetsift.engines.ensembles.networks import network_sha256
from fleetsift.engines.formulas.boxes import overlap
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.open import open_engine, open_ensemble
from fleetsift.engines.rows import gather_rows
from fleetsift.engines.runtimes.cuda import open_bound_engine
from fleetsift.engines.runtimes.sessions import CPU
from fleetsift.engines.truth.parity import BOUND, measure_parity
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
            "channels": {"objectness": 0, "boxes": 1, "classes": 5},
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


def test_its_heat_map_has_a_value_for_every_pixel(tmp_path: Path, shared_data: Path, frames: Frames) -> None:
    """It ends at 22 x 22 cells; between their centres probabilities are interpolated."""
    ensemble = read_ensemble(write_fastestdet(tmp_path, shared_data / "models", boxes={"decoding": "fastestdet"}))
    engine, whole = open_ensemble(ensemble, threads=1), open_ensemble(at_full_size(ensemble), threads=1)
    cells, pixels = engine.maps(frames[0]).entropy_by_class, whole.maps(frames[0]).entropy_by_class
    engine.close()
    whole.close()
    assert pixels.shape == (80, *SIZE)
    around_centres = pixels.reshape(80, 22, 16, 22, 16)[:, :, 7:9, :, 7:9].mean(axis=(2, 4))
    assert np.corrcoef(cells.ravel(), around_centres.ravel())[0, 1] > 0.99


def published(raw_khw: npt.NDArray[np.float64], threshold: float, most: float) -> list[tuple[list[float], float, int]]:
    """Corners, score and class of every box, as `handle_preds` of the network's repository finds them, cell by cell."""
    found = []
    _, height, width = raw_khw.shape
    for gy in range(height):
        for gx in range(width):
            objectness, x, y, w, h, *classes = raw_khw[:, gy, gx]
            score = objectness * max(classes)
            if score > threshold:
                cx, cy = (np.tanh(x) + gx) / width, (np.tanh(y) + gy) / height
                bw, bh = 1 / (1 + np.exp(-w)), 1 / (1 + np.exp(-h))
                corners = [cx - 0.5 * bw, cy - 0.5 * bh, cx + 0.5 * bw, cy + 0.5 * bh]
                found.append((corners, score, int(np.argmax(classes))))
    kept: list[tuple[list[float], float, int]] = []
    for corners, score, c in sorted(found, key=lambda box: -box[1]):
        rivals = np.array([other for other, _, k in kept if k == c]).reshape(-1, 4)
        if not (overlap(np.array(corners), rivals) > most).any():
            kept.append((corners, score, c))
    return kept


def test_objects_are_those_of_the_published_decoding(
    tmp_path: Path, shared_data: Path, frames: Frames, raw: npt.NDArray[np.float64]
) -> None:
    path = write_fastestdet(tmp_path, shared_data / "models", boxes={"decoding": "fastestdet"})
    engine = open_engine(path, threads=2)
    scores = engine.score(FrameBatch(frames, (None,) * len(frames)))
    engine.close()
    assert scores.objects is not None
    for i, raw_khw in enumerate(raw):
        boxes = published(raw_khw, 0.25, 0.45)
        counts = np.unique([c for _, _, c in boxes], return_counts=True)[1]
        assert scores.objects.count[i] == len(boxes)
        assert scores.objects.object_frequency[i] == (1 + 0.25 * (counts - 1)).sum()
        confidence = np.mean([score for _, score, _ in boxes]) if boxes else 1
        assert scores.objects.objectness_least_confidence[i] == pytest.approx(1 - confidence, abs=1e-5)
    assert scores.objects.count.sum() > 20
    assert (scores.objects.uncertainty_entropy <= 1).all()


def test_the_real_detectors_objects_are_true_wherever_they_are_found(
    tmp_path: Path, shared_data: Path, frames: Frames
) -> None:
    """Boxes by the CPU's engine, and by what a GPU's graph says of positions, against the float64 reference."""
    path = write_fastestdet(tmp_path, shared_data / "models", boxes={"decoding": "fastestdet"})
    ensemble, counted = read_ensemble(path), open_engine(path, threads=2)
    for engine in (counted, open_bound_engine(ensemble, CPU, batch=8)):  # it was exported for a batch of one
        parity = measure_parity(engine, ensemble, frames)
        assert parity.holds, parity.worst
        assert parity.deviations["objects.count"] == 0
        assert 0 <= parity.deviations["objects.uncertainty_entropy"] <= BOUND.most
    counted.close()
