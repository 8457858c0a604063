"""Boxes: how they are decoded, which give way to which, and what they say of a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.engines.formulas.boxes import Boxes, class_facts, find_boxes, object_scores, overlap
from fleetsift.engines.open import open_engine
from fleetsift.errors import EnsembleError
from fleetsift.schemas.boxes import BoxSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.members import InputSpec
from fleetsift.schemas.scores import OBJECT_QUANTITIES, ObjectScores
from tests.engines.drawn_logits import examples
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble

KIND = InputSpec(height=32, width=64)
FASTESTDET = BoxSpec(decoding="fastestdet")


def scores_of(*probabilities: list[float]) -> dict[str, float]:
    """Object scores of boxes with these probabilities of their classes."""
    p = np.array(probabilities).reshape(len(probabilities), 3)
    return dict(zip(OBJECT_QUANTITIES, object_scores(Boxes(np.zeros((len(p), 4)), class_facts(p.T).T)), strict=True))


def test_without_boxes_every_score_is_zero() -> None:
    assert set(scores_of().values()) == {0.0}


def test_the_object_frequency_is_not_scaled() -> None:
    """Mistake 7 of SCORES.md: scaled over a batch, the same frame would get another score in another batch."""
    car, person = [0.9, 0.0, 0.0], [0.0, 0.6, 0.0]
    assert scores_of(car)["object_frequency"] == 1
    assert scores_of(car, car, car)["object_frequency"] == 1.5
    assert scores_of(car, person, car)["object_frequency"] == 2.25
    assert scores_of(car, person, car)["count"] == 3


def test_objectness_is_of_the_mean_box_and_uncertainty_of_the_least_sure() -> None:
    found = scores_of([0.8, 0.0, 0.0], [0.3, 0.3, 0.0])
    assert found["objectness_least_confidence"] == pytest.approx(1 - 0.55)
    assert found["uncertainty_least_confidence"] == pytest.approx(0.5 / (1 - 1 / 3))
    assert found["uncertainty_margin"] == pytest.approx(1)
    assert found["uncertainty_entropy"] == pytest.approx(1 / np.log2(3))


def test_probabilities_of_a_box_are_not_softmaxed() -> None:
    """Mistake 6 of SCORES.md: a box that is surely a car has no uncertainty, whatever its objectness."""
    found = scores_of([0.4, 0.0, 0.0])
    assert found["uncertainty_least_confidence"] == found["uncertainty_entropy"] == found["uncertainty_margin"] == 0


def cell(x: float, y: float, width: float, height: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Terms (4, 2, 4) that are zero but in the cell of row 1, column 2."""
    terms = np.zeros((4, 2, 4))
    terms[:, 1, 2] = x, y, width, height
    return terms


def sure_of_one_cell() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    p = np.zeros((3, 2, 4))
    p[1, 1, 2] = 0.9
    return p


def test_fastestdets_decoding() -> None:
    boxes = find_boxes(cell(0.5, -0.5, 0, -1), class_facts(sure_of_one_cell()), FASTESTDET, KIND)
    centre = (2 + np.tanh(0.5)) / 4, (1 - np.tanh(0.5)) / 2
    size = 0.5, 1 / (1 + np.e)
    expected = [centre[0] - size[0] / 2, centre[1] - size[1] / 2, centre[0] + size[0] / 2, centre[1] + size[1] / 2]
    np.testing.assert_allclose(boxes.corners, [expected])
    assert boxes.classes.tolist() == [1]
    assert boxes.scores.tolist() == [0.9]


def test_yolos_decoding() -> None:
    spec = BoxSpec(decoding="yolov3", anchor=(16, 8))
    boxes = find_boxes(cell(0, 0, 0, np.log(2)), class_facts(sure_of_one_cell()), spec, KIND)
    np.testing.assert_allclose(boxes.corners, [[2.5 / 4 - 0.125, 1.5 / 2 - 0.25, 2.5 / 4 + 0.125, 1.5 / 2 + 0.25]])


@examples
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 3),
    st.sampled_from([0.0, 0.1, 0.45, 0.9]),
    st.sampled_from([0.0, 0.25, 0.8]),
)
def test_boxes_give_way_to_surer_ones_of_their_class_only(seed: int, classes: int, most: float, least: float) -> None:
    random = np.random.default_rng(seed)
    spec = BoxSpec(decoding="fastestdet", overlap=most, threshold=least)
    terms, p = random.normal(size=(4, 4, 5)), random.uniform(size=(classes, 4, 5)).round(2)
    kept = find_boxes(terms, class_facts(p), spec, KIND)
    everything = find_boxes(terms, class_facts(p), BoxSpec(decoding="fastestdet", overlap=1, threshold=least), KIND)
    assert len(everything) == (p.max(axis=0) > least).sum()
    assert (np.diff(kept.scores) <= 0).all()
    kept_corners = {tuple(corners) for corners in kept.corners}
    for k, corners in enumerate(everything.corners):
        surer = [
            other
            for j, other in enumerate(everything.corners[:k])
            if tuple(other) in kept_corners and everything.classes[j] == everything.classes[k]
        ]
        gives_way = bool((overlap(corners, np.array(surer).reshape(-1, 4)) > most).any())
        assert gives_way == (tuple(corners) not in kept_corners)


def test_overlap_is_intersection_over_union() -> None:
    others = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [5, 5, 5, 5]])
    np.testing.assert_allclose(overlap(np.array([0.0, 0, 2, 2]), others), [1, 1 / 7, 0, 0])


OUTPUT = {"native": "native", "channels": {"boxes": 0, "classes": 4}}


def test_boxes_are_those_of_the_member_that_is_named(tmp_path: Path) -> None:
    frames = draw_frames(3)
    batch = FrameBatch(frames, (None,) * 3)
    found: dict[str, ObjectScores] = {}
    for name, members, member in (("second", [0, 1], 1), ("alone", [1], 0)):
        (tmp_path / name).mkdir()
        drawn = [Drawn(seed, leading=4) for seed in members]
        boxes = {"decoding": "fastestdet", "member": member, "threshold": 0.9}
        engine = open_engine(
            write_ensemble(tmp_path / name, drawn, task="detection_heatmap", output=OUTPUT, boxes=boxes), threads=2
        )
        objects = engine.score(batch).objects
        assert objects is not None
        found[name] = objects
        engine.close()
    for quantity in OBJECT_QUANTITIES:
        np.testing.assert_array_equal(getattr(found["second"], quantity), getattr(found["alone"], quantity))
    assert (found["alone"].count > 0).all()


def test_a_member_with_coarser_answers_cannot_give_the_boxes(tmp_path: Path) -> None:
    path = write_ensemble(
        tmp_path,
        [Drawn(0, leading=4, stride=4), Drawn(1, leading=4)],
        task="detection_heatmap",
        output=OUTPUT,
        boxes={"decoding": "fastestdet"},
    )
    with pytest.raises(EnsembleError, match=r"boxes\.member: expected a member that answers at \(8, 12\) positions"):
        open_engine(path, threads=1)
