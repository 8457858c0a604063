"""Every task and activation on the engine, against the reference on what each member answers by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.scores import FrameScores
from fleetsift.schemas.status import Status
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.engines.scored import score

Frames = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

PROBABILITIES = {"activation": "probabilities"}
FULL, NATIVE = {"full": "logits"}, {"native": "native"}


def reference(path: Path, frames: Frames) -> FrameScores:
    """Every member in a session of its own, what it answers as logits in float64, and the formulas on them."""
    spec = read_ensemble(path).spec
    logits = np.stack([logits_of(path, spec, m, frames) for m in range(len(spec.members))], axis=1)
    rows = [score_frame(of_frame, spec.grid, spec.top_share, task=spec.task) for of_frame in logits]
    return gather_rows(rows, spec.classes, spec.grid, 0, spec.task)


def logits_of(path: Path, spec: EnsembleSpec, m: int, frames: Frames) -> Floats:
    member = spec.members[m]
    output, channels = spec.output_of(member), spec.channels_of(member)
    session = onnxruntime.InferenceSession(path.parent / member.file, providers=["CPUExecutionProvider"])
    images = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / 255
    (answer,) = session.run([output.full if spec.resolution == "full" else output.native], {"images": images})
    scores = answer.astype(np.float64).reshape(*answer.shape[:2], *(answer.shape[2:] or (1, 1)))
    classes: Floats = scores[:, channels.classes :]
    if spec.activation_of(member) != "probabilities" and channels.objectness is None:
        return classes
    if spec.activation_of(member) != "probabilities":
        scores, classes = 1 / (1 + np.exp(-scores)), 1 / (1 + np.exp(-classes))
    if channels.objectness is not None:
        classes = classes * scores[:, channels.objectness : channels.objectness + 1]
    log_p: Floats = np.log(classes)
    return log_p - np.log1p(-classes) if spec.task == "detection_heatmap" else log_p


CASES: dict[str, tuple[str, list[Drawn], dict[str, Any]]] = {
    "segmentation, probabilities": (
        "semantic_segmentation",
        [Drawn(m, activation="Softmax") for m in range(3)],
        {"output": NATIVE | PROBABILITIES},
    ),
    "segmentation, probabilities at full size": (
        "semantic_segmentation",
        [Drawn(m, activation="Softmax") for m in range(3)],
        {"output": FULL | PROBABILITIES, "resolution": "full"},
    ),
    "segmentation, logits and probabilities": (
        "semantic_segmentation",
        [Drawn(0), Drawn(1, activation="Softmax", opset=13, spec={"output": NATIVE | PROBABILITIES})],
        {"output": NATIVE},
    ),
    "classification": ("classification", [Drawn(m, pooled=True) for m in range(3)], {"resolution": "full"}),
    "classification, probabilities": (
        "classification",
        [Drawn(m, pooled=True, activation="Softmax") for m in range(3)],
        {"output": FULL | PROBABILITIES, "resolution": "full"},
    ),
    "heat map": ("detection_heatmap", [Drawn(m) for m in range(3)], {"output": NATIVE}),
    "heat map, probabilities": (
        "detection_heatmap",
        [Drawn(0), Drawn(1, activation="Sigmoid", spec={"output": NATIVE | PROBABILITIES})],
        {"output": NATIVE},
    ),
    "heat map, channels": (
        "detection_heatmap",
        [Drawn(m, leading=5) for m in range(3)],
        {"output": NATIVE | {"channels": {"classes": 5}}},
    ),
    "heat map, objectness": (
        "detection_heatmap",
        [
            Drawn(0, leading=5, gain=0.5),
            Drawn(
                1,
                leading=2,
                activation="Sigmoid",
                spec={"output": NATIVE | PROBABILITIES | {"channels": {"objectness": 1, "classes": 2}}},
            ),
        ],
        {"output": NATIVE | {"channels": {"objectness": 0, "classes": 5}}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_the_reference(tmp_path: Path, case: str) -> None:
    task, members, changes = CASES[case]
    path = write_ensemble(tmp_path, members, task=task, **{"output": FULL, **changes})
    frames = draw_frames(3)
    scores = score(path, frames)
    assert_close(scores, reference(path, frames))
    assert scores.mutual_information.max.min() > 1e-3


def test_probabilities_score_as_the_logits_they_came_from(tmp_path: Path) -> None:
    """Mistake 1 of SCORES.md: what is a probability is not softmaxed again."""
    for name in ("logits", "probabilities"):
        (tmp_path / name).mkdir()
    frames = draw_frames(2)
    logits = write_ensemble(tmp_path / "logits", [Drawn(m) for m in range(3)], output=NATIVE)
    probabilities = write_ensemble(
        tmp_path / "probabilities",
        [Drawn(m, activation="Softmax") for m in range(3)],
        output=NATIVE | PROBABILITIES,
    )
    assert_close(score(logits, frames), score(probabilities, frames))


def test_a_classified_frame_is_one_position(tmp_path: Path) -> None:
    path = write_ensemble(
        tmp_path, [Drawn(m, pooled=True) for m in range(2)], task="classification", output=FULL, resolution="full"
    )
    scores = score(path, draw_frames(2))
    assert scores.regions is None
    for statistic in (scores.entropy, scores.mutual_information, scores.least_confidence):
        np.testing.assert_array_equal(statistic.mean, statistic.max)
        np.testing.assert_array_equal(statistic.mean, statistic.top)
    assert scores.by_class.argmax is not None
    assert sorted(scores.by_class.argmax[0]) == [0, 0, 1]


@pytest.mark.parametrize(
    ("task", "drawn", "output", "message"),
    [
        ("semantic_segmentation", Drawn(), NATIVE, "from 0 to 1 that sum to 1 over the classes, got others"),
        ("semantic_segmentation", Drawn(activation="Sigmoid"), NATIVE, "that sum to 1 over the classes, got others"),
        ("detection_heatmap", Drawn(), NATIVE, "from 0 to 1, got others on a black frame; mend `output.activation`"),
        ("classification", Drawn(), FULL, r"logits: expected probabilities \(N, 3\) for 3 classes, got \(N, 3, 16, 24"),
        (
            "detection_heatmap",
            Drawn(),
            NATIVE | {"channels": {"classes": 5}},
            r"native: expected probabilities \(N, 8, h, w\) for 3 classes, got \(N, 3, 8, 12\)",
        ),
    ],
)
def test_what_are_no_probabilities_is_refused(
    tmp_path: Path, task: str, drawn: Drawn, output: dict[str, Any], message: str
) -> None:
    """Mistakes 1 and 6 of SCORES.md: the file says what the numbers are, and is held to it."""
    resolution = "native" if "native" in output else "full"
    path = write_ensemble(tmp_path, [drawn], task=task, output=output | PROBABILITIES, resolution=resolution)
    with pytest.raises(EnsembleError, match=message):
        open_engine(path, threads=1)


def test_probabilities_that_are_none_on_one_frame_make_a_problem_of_it(tmp_path: Path) -> None:
    members = [Drawn(0, activation="Softmax"), Drawn(1, activation="Softmax", breaks_on_white=True)]
    path = write_ensemble(tmp_path, members, output=NATIVE | PROBABILITIES)
    frames = draw_frames(2)
    frames[1] = 255
    first, second = score(path, frames).problems
    assert first is None
    assert second is not None
    assert second.status is Status.NON_FINITE
    assert second.reason == (
        "members[1] (drawn_1.onnx): expected probabilities from 0 to 1 that sum to 1 over the classes, got others"
    )
