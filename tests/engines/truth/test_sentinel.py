"""The sentinel lets true engines be, and refuses every kind of false one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.function import FunctionEngine
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.runtimes.cuda import open_bound_engine
from fleetsift.engines.runtimes.sessions import CPU
from fleetsift.engines.truth.canary import canary_frames
from fleetsift.engines.truth.parity import BOUND, deviations, measure_parity
from fleetsift.engines.truth.sentinel import broken_disagreement, sentinel
from fleetsift.engines.truth.separate import SeparateMembers
from fleetsift.errors import EnsembleError
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.status import Problem, Status
from tests.engines.drawn_networks import Drawn, write_ensemble

SMALLER = {"height": 8, "width": 16, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
RAW_BGR = {"height": 16, "width": 24, "channels": "bgr", "scale": 1.0, "mean": [104, 117, 123], "std": [58, 57, 59]}


def engine_off_by(path: Path, nats: float) -> Engine:
    """An engine whose highest entropies are wrong, and nothing else."""
    members = SeparateMembers(read_ensemble(path))

    def score(pixels: np.ndarray) -> FrameRow:
        row = members.score(pixels)
        assert isinstance(row, FrameRow)
        row.statistics[0, 1] += nats
        return row

    spec = read_ensemble(path).spec
    return FunctionEngine(
        score,
        members=len(spec.members),
        classes=spec.classes,
        frame_size=spec.frame_size,
        embedding_size=8,
    )


@pytest.mark.parametrize("resolution", ["native", "full"])
@pytest.mark.parametrize(
    "members",
    [
        [Drawn(0), Drawn(1)],
        [Drawn(0), Drawn(1, spec={"input": RAW_BGR})],
        [Drawn(0), Drawn(1, size=(8, 16), spec={"input": SMALLER})],
        [Drawn(0), Drawn(1, stride=4)],
    ],
    ids=["alike", "inputs that differ", "sizes that differ", "strides that differ"],
)
def test_a_true_engine_is_let_be(tmp_path: Path, members: list[Drawn], resolution: str) -> None:
    path = write_ensemble(tmp_path, members, resolution=resolution)
    engine = open_engine(path, threads=1)
    parity = sentinel(engine, read_ensemble(path))
    engine.close()
    assert parity.holds
    assert parity.worst[1] <= BOUND.most
    assert parity.frames == 2


@pytest.mark.parametrize("task", ["detection_heatmap", "classification"])
def test_every_task_has_a_reference(tmp_path: Path, task: str) -> None:
    members = [Drawn(m, pooled=task == "classification") for m in range(2)]
    path = write_ensemble(tmp_path, members, task=task, resolution="full")
    engine = open_engine(path, threads=1)
    parity = sentinel(engine, read_ensemble(path))
    engine.close()
    assert parity.holds
    assert ("regions.entropy" in parity.deviations) == (task == "detection_heatmap")
    assert ("margin.mean" in parity.deviations) == (task == "classification")


def test_boxes_have_a_reference(tmp_path: Path) -> None:
    output = {"native": "native", "channels": {"boxes": 0, "classes": 4}}
    drawn = [Drawn(m, leading=4) for m in range(2)]
    boxes = {"decoding": "fastestdet", "threshold": 0.6}
    path = write_ensemble(tmp_path, drawn, task="detection_heatmap", output=output, boxes=boxes)
    ensemble, counted = read_ensemble(path), open_engine(path, threads=1)
    in_graph = open_bound_engine(ensemble, CPU, batch=2)
    for engine in (counted, in_graph):
        parity = sentinel(engine, ensemble)
        assert parity.holds
        assert parity.deviations.keys() >= {"objects.count", "objects.object_frequency", "objects.uncertainty_entropy"}
        objects = engine.score(FrameBatch(canary_frames(2, (16, 24)), (None,) * 2)).objects
        assert objects is not None
        assert objects.count.sum() > 0
    counted.close()


def test_views_and_passes_have_a_reference(tmp_path: Path) -> None:
    dropped = Drawn(0, dropout=0.25, spec={"passes": 3})
    path = write_ensemble(tmp_path, [dropped, Drawn(1)], views=["identity", "hflip"])
    engine = open_engine(path, threads=1)
    parity = sentinel(engine, read_ensemble(path))
    engine.close()
    assert engine.members == 8
    assert parity.holds
    assert parity.deviations.keys() >= {"equal.jensen_shannon", "equal.argmax_disagreement"}


@pytest.mark.parametrize(("nats", "let_be"), [(5e-6, True), (3e-5, False)])
def test_a_score_beyond_the_bound_is_named(tmp_path: Path, nats: float, let_be: bool) -> None:
    path = write_ensemble(tmp_path, [Drawn(m) for m in range(2)])
    engine, ensemble = engine_off_by(path, nats), read_ensemble(path)
    if let_be:
        assert sentinel(engine, ensemble).worst[0] == "entropy.max"
    else:
        with pytest.raises(EnsembleError, match=r"parity: expected every score within 1e-05 .* got entropy\.max [23]"):
            sentinel(engine, ensemble)


def test_members_that_never_disagree_are_refused(tmp_path: Path) -> None:
    """Mistake 11 of SCORES.md: passes that all agree, such as dropout that a runtime removed."""
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(0), Drawn(0)])
    engine = open_engine(path, threads=1)
    with pytest.raises(EnsembleError, match="mutual_information: expected members that disagree somewhere, got 0 on"):
        sentinel(engine, read_ensemble(path))
    engine.close()


def test_one_member_has_nobody_to_disagree_with(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0)])
    engine = open_engine(path, threads=1)
    assert sentinel(engine, read_ensemble(path)).holds
    engine.close()


def test_a_network_that_answers_nothing_with_numbers_is_refused(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1, gain=float("inf"))])
    engine = open_engine(path, threads=1)
    with pytest.raises(EnsembleError, match=r"finite: expected numbers, got none on all 2 frames .*drawn_1\.onnx"):
        sentinel(engine, read_ensemble(path))
    engine.close()


def test_one_frame_on_which_members_disagree_is_enough(tmp_path: Path) -> None:
    spec = read_ensemble(write_ensemble(tmp_path, [Drawn(m) for m in range(3)])).spec
    assert broken_disagreement(spec, np.array([0, 0.2, np.nan], np.float32)) is None
    assert broken_disagreement(spec, np.array([0, 5e-7], np.float32))
    assert broken_disagreement(spec, np.array([np.nan], np.float32)) is None


def test_the_rounding_of_many_independent_classes_is_no_disagreement(tmp_path: Path) -> None:
    """Each of 80 questions may be a rounding off, and what is said of a position is their sum."""
    names = [f"class_{c}" for c in range(80)]
    members = [Drawn(0, classes=80), Drawn(0, classes=80)]
    spec = read_ensemble(write_ensemble(tmp_path, members, task="detection_heatmap", classes=names)).spec
    assert broken_disagreement(spec, np.array([7e-5], np.float32))
    assert broken_disagreement(spec, np.array([9e-5], np.float32)) is None


def test_a_number_where_there_should_be_none_is_infinitely_wrong(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)])
    engine = open_engine(path, threads=1)
    frames = canary_frames(2, (16, 24))
    whole = engine.score(FrameBatch(frames, (None, None)))
    broken = engine.score(FrameBatch(frames, (None, Problem(Status.CORRUPT, "cut off"))))
    engine.close()
    assert set(deviations(broken, whole).values()) == {np.inf}
    assert set(deviations(broken, broken).values()) == {0}


def test_a_frame_that_both_refuse_is_no_deviation(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1, breaks_on_white=True)])
    engine = open_engine(path, threads=1)
    frames = canary_frames(2, (16, 24))
    frames[1] = 255
    assert measure_parity(engine, read_ensemble(path), frames).holds
    engine.close()
