"""Members that call their classes otherwise, or know others, are brought to the ensemble's classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import FrameScores
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import CLASSES, Drawn, draw_frames, write_ensemble
from tests.engines.scored import score
from tests.engines.test_tasks import NATIVE, PROBABILITIES, logits_of

FRAMES = draw_frames(3)
OWN = ["person", "truck", "road", "sky", "car"]
COUNTS_AS = {"truck": "car", "sky": None}


def other(activation: str = "", **spec: Any) -> Drawn:
    """A member with five classes of its own, of which two count as cars and one for nothing."""
    return Drawn(1, classes=len(OWN), activation=activation, spec={"classes": OWN, "counts_as": COUNTS_AS} | spec)


def expected(path: Path, logits_of_other: Any) -> FrameScores:
    spec = read_ensemble(path).spec
    logits = np.stack([logits_of(path, spec, 0, FRAMES), logits_of_other], axis=1)
    rows = [score_frame(of_frame, spec.grid, spec.top_share, task=spec.task) for of_frame in logits]
    return gather_rows(rows, CLASSES, spec.grid, 0, spec.task)


def test_classes_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1, spec={"classes": ["person", "road", "car"]})], output=NATIVE)
    logits = logits_of(path, read_ensemble(path).spec, 1, FRAMES)
    assert_close(score(path, FRAMES), expected(path, logits[:, [1, 2, 0]]))


@pytest.mark.parametrize("probabilities", [False, True])
def test_probabilities_that_count_for_one_class_are_added(tmp_path: Path, probabilities: bool) -> None:
    """And what counts for none is left out: the others keep their proportions."""
    member = other("Softmax", output=NATIVE | PROBABILITIES) if probabilities else other()
    path = write_ensemble(tmp_path, [Drawn(0), member], output=NATIVE)
    p = np.exp(logits_of(path, read_ensemble(path).spec, 1, FRAMES))
    merged = np.stack([p[:, 2], p[:, 1] + p[:, 4], p[:, 0]], axis=1)
    assert_close(score(path, FRAMES), expected(path, np.log(merged)))


def test_of_independent_classes_the_highest_counts(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), other()], output=NATIVE, task="detection_heatmap")
    z = logits_of(path, read_ensemble(path).spec, 1, FRAMES)
    merged = np.stack([z[:, 2], np.maximum(z[:, 1], z[:, 4]), z[:, 0]], axis=1)
    assert_close(score(path, FRAMES), expected(path, merged))


@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_what_is_not_finite_survives_the_merging(tmp_path: Path, task: str) -> None:
    white = np.full((1, 16, 24, 3), 255, np.uint8)
    drawn = Drawn(1, classes=len(OWN), breaks_on_white=True, spec={"classes": OWN, "counts_as": COUNTS_AS})
    engine = open_engine(write_ensemble(tmp_path, [Drawn(0), drawn], output=NATIVE, task=task), threads=1)
    (problem,) = engine.score(FrameBatch(white, (None,))).problems
    engine.close()
    assert problem is not None
    assert "members[1]" in problem.reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"classes": ["road", "car"]},
            r"members\[1\]\.classes: expected every class of the ensemble, got none for person",
        ),
        (
            {"classes": ["road", "car", "person", "van"]},
            r"expected classes of the ensemble, got van; say in counts_as",
        ),
        ({"counts_as": {"van": "car"}}, r"members\[1\]\.counts_as: expected .* for one of the member's, got van: car"),
        ({"counts_as": {"car": "vehicle"}}, r"counts_as: expected the ensemble's class .* got car: vehicle"),
        ({"counts_as": {"person": "car"}}, "expected every class of the ensemble, got none for person"),
    ],
)
def test_classes_that_do_not_match_are_refused(tmp_path: Path, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1, spec=spec)]))
    assert "\n" not in str(caught.value)


def test_a_member_has_a_channel_for_each_class_of_its_own(tmp_path: Path) -> None:
    members = [Drawn(0), Drawn(1, classes=4, spec={"classes": OWN, "counts_as": COUNTS_AS})]
    with pytest.raises(EnsembleError, match=r"expected logits \(N, 5, h, w\) for 5 classes, got \(N, 4, 8, 12\)"):
        read_ensemble(write_ensemble(tmp_path, members))
