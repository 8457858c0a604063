"""The engine on ONNX Runtime against the reference on logits that each member gives by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.formulas.uncertainty import (
    class_entropy,
    class_information,
    log_softmax,
    mutual_information,
    predictive_entropy,
    score_frame,
)
from fleetsift.engines.graphs.fuse import FRAMES, fuse
from fleetsift.engines.open import open_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.engines.runtimes.onnx import OnnxEngine
from fleetsift.errors import EnsembleError, FrameError
from fleetsift.schemas.ensemble import EnsembleSpec, InputSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import FrameScores
from fleetsift.schemas.status import Problem, Status
from tests.engines.closeness import assert_close, assert_identical
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble

Frames = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

NORMALISED = {"height": 16, "width": 24, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RAW_BGR = {"height": 16, "width": 24, "channels": "bgr", "scale": 1.0, "mean": [104, 117, 123], "std": [58, 57, 59]}
NATIVE = (8, 12)  # of a member that takes whole frames with a stride of 2
SMALLER = {"height": 8, "width": 16, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def batch(frames: Frames) -> FrameBatch:
    return FrameBatch(frames, (None,) * len(frames))


def prepared(frames: Frames, kind: InputSpec) -> Floats:
    """What a network takes, worked out without ONNX: resized by Pillow, normalised in float64."""
    planes = frames.transpose(0, 3, 1, 2)
    images = np.stack([[resized(plane, kind.height, kind.width) for plane in frame] for frame in planes])
    if kind.channels == "bgr":
        images = images[:, ::-1]
    mean, std = (np.array(values)[:, None, None] for values in (kind.mean, kind.std))
    normalised: Floats = ((images / kind.scale - mean) / std).astype(np.float32)
    return normalised


def resized(plane: Any, height: int, width: int) -> Floats:
    """A plane (h, w) at another size, by Pillow, which averages where it shrinks."""
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def reference(path: Path, frames: Frames) -> FrameScores:
    """Every member in a session of its own, and the formulas in float64 on what they answer."""
    spec = read_ensemble(path).spec
    answers = [answer(path, spec, m, frames) for m in range(len(spec.members))]
    logits = np.stack([logits for logits, _ in answers], axis=1)
    embedding = answers[spec.embedding_member][1]
    rows = [score_frame(logits[i], spec.regions, spec.top_share, embedding[i]) for i in range(len(frames))]
    return gather_rows(rows, spec.classes, spec.regions, embedding.shape[1])


def answer(path: Path, spec: EnsembleSpec, m: int, frames: Frames) -> tuple[Any, Any]:
    member = spec.members[m]
    output, kind = spec.output_of(member), spec.input_of(member)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(path.parent / member.file, options, providers=["CPUExecutionProvider"])
    name = output.full if spec.resolution == "full" else output.native
    logits, embedding = session.run([name, output.embedding], {"images": prepared(frames, kind)})
    size = spec.frame_size if spec.resolution == "full" else NATIVE
    if logits.shape[2:] != size:
        logits = np.stack([[resized(plane, *size) for plane in frame] for frame in logits])
    return logits, embedding


@pytest.fixture
def opened() -> Iterator[Any]:
    """Opens engines and closes them after the test."""
    engines = []

    def open_and_remember(path: Path, threads: int = 2) -> OnnxEngine:
        engines.append(OnnxEngine(read_ensemble(path), threads))
        return engines[-1]

    yield open_and_remember
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("resolution", ["native", "full"])
@pytest.mark.parametrize(
    "members",
    [
        [Drawn(0)],
        [Drawn(m) for m in range(5)],
        [Drawn(0), Drawn(1, spec={"input": NORMALISED}), Drawn(2, spec={"input": RAW_BGR})],
        [Drawn(0, opset=13), Drawn(1, opset=18), Drawn(2, opset=20)],
    ],
    ids=["one", "five", "inputs that differ", "opsets that differ"],
)
def test_scores_are_those_of_the_reference(tmp_path: Path, opened: Any, members: list[Drawn], resolution: str) -> None:
    path = write_ensemble(tmp_path, members, resolution=resolution)
    frames = draw_frames(3)
    assert_close(opened(path).score(batch(frames)), reference(path, frames))


def test_large_logits_are_reduced_as_the_reference_does(tmp_path: Path, opened: Any) -> None:
    """Logits of hundreds: the last bit of one moves a score by more than the bound, so both reduce the same ones."""
    path = write_ensemble(tmp_path, [Drawn(m, gain=200) for m in range(4)])
    ensemble = read_ensemble(path)
    session = onnxruntime.InferenceSession(fuse(ensemble).SerializeToString(), providers=["CPUExecutionProvider"])
    frame = draw_frames(1)
    *logits, embedding = session.run(None, {FRAMES: frame})
    expected = score_frame(np.concatenate(logits), ensemble.spec.regions, ensemble.spec.top_share, embedding[0])
    scores = opened(path).score(batch(frame))
    assert_close(scores, gather_rows([expected], scores.classes, ensemble.spec.regions, 8))


def test_a_member_may_take_smaller_frames(tmp_path: Path, opened: Any) -> None:
    members = [Drawn(0), Drawn(1, size=(8, 16), spec={"input": SMALLER})]
    path = write_ensemble(tmp_path, members, resolution="full")
    frames = draw_frames(3)
    assert_close(opened(path).score(batch(frames)), reference(path, frames))


def test_members_may_answer_at_other_strides(tmp_path: Path, opened: Any) -> None:
    """The smaller answers are enlarged to the largest, linearly between the centres of their positions."""
    smaller = {"height": 8, "width": 12}
    members = [Drawn(0, stride=4), Drawn(1), Drawn(2, size=(8, 12), spec={"input": smaller})]
    path = write_ensemble(tmp_path, members)
    frames = draw_frames(3)
    assert_close(opened(path).score(batch(frames)), reference(path, frames))


def test_what_it_says_of_itself(tmp_path: Path, opened: Any) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)])
    engine = opened(path)
    assert engine.ensemble_id == read_ensemble(path).ensemble_id
    assert (engine.members, engine.classes, engine.frame_size) == (2, ("road", "car", "person"), (16, 24))


def test_a_row_is_the_same_in_any_batch_and_for_any_number_of_threads(tmp_path: Path, opened: Any) -> None:
    """Mistake 7 of SCORES.md: not one bit of a frame's row depends on its neighbours."""
    path = write_ensemble(tmp_path, [Drawn(m) for m in range(3)], resolution="full")
    frames = draw_frames(7)
    together = opened(path, threads=3).score(batch(frames))
    engine = opened(path, threads=1)
    for i in range(len(frames)):
        alone, backwards = engine.score(batch(frames[i : i + 1])), engine.score(batch(frames[i::-1]))
        for scores in (alone, backwards):
            assert_identical(row(scores, 0), row(together, i))


def row(scores: FrameScores, i: int) -> FrameScores:
    """One frame of a batch as a batch of its own."""

    def take(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            return part[i : i + 1]
        if hasattr(part, "__dataclass_fields__"):
            return type(part)(**{name: take(getattr(part, name)) for name in part.__dataclass_fields__})
        return part

    fields = {name: take(getattr(scores, name)) for name in scores.__dataclass_fields__}
    return FrameScores(**fields | {"problems": scores.problems[i : i + 1]})


def test_frames_with_a_problem_pass_through(tmp_path: Path, opened: Any) -> None:
    engine = opened(write_ensemble(tmp_path, [Drawn(0), Drawn(1)]))
    frames = draw_frames(3)
    problem = Problem(Status.CORRUPT, "cut off")
    scores = engine.score(FrameBatch(frames, (None, problem, None)))
    assert scores.problems == (None, problem, None)
    assert np.isnan(scores.embedding[1]).all()
    assert_identical(row(scores, 2), engine.score(batch(frames[2:])))


def test_no_frames_give_no_rows(tmp_path: Path, opened: Any) -> None:
    scores = opened(write_ensemble(tmp_path, [Drawn()])).score(batch(draw_frames(0)))
    assert len(scores) == 0
    assert scores.embedding.shape == (0, 8)


def test_a_network_that_answers_infinity_makes_a_problem_of_that_frame_only(tmp_path: Path, opened: Any) -> None:
    """Mistake 5 of SCORES.md: a broken frame gets no score, neither the lowest nor the highest."""
    engine = opened(write_ensemble(tmp_path, [Drawn(0), Drawn(1, breaks_on_white=True)]))
    frames = draw_frames(3)
    frames[1] = 255
    scores = engine.score(batch(frames))
    broken = scores.problems[1]
    assert broken is not None
    assert broken.status is Status.NON_FINITE
    assert broken.reason == "members[1] (drawn_1.onnx): expected finite logits, got NaN or infinity"
    assert scores.problems[0] is scores.problems[2] is None
    assert np.isnan(scores.entropy.mean[1])
    assert np.isfinite(scores.entropy.mean[[0, 2]]).all()
    with pytest.raises(FrameError, match=r"drawn_1\.onnx"):
        engine.maps(frames[1])


def test_maps_are_the_references_and_average_to_the_scores(tmp_path: Path, opened: Any) -> None:
    path = write_ensemble(tmp_path, [Drawn(m) for m in range(3)])
    frames = draw_frames(1)
    engine = opened(path)
    maps, scores = engine.maps(frames[0]), engine.score(batch(frames))
    spec = read_ensemble(path).spec
    log_probs = log_softmax(np.stack([answer(path, spec, m, frames)[0][0] for m in range(3)]))
    np.testing.assert_allclose(maps.entropy, predictive_entropy(log_probs), atol=1e-5)
    np.testing.assert_allclose(maps.mutual_information, mutual_information(log_probs), atol=1e-5)
    np.testing.assert_allclose(maps.entropy_by_class, class_entropy(log_probs), atol=1e-5)
    np.testing.assert_allclose(maps.mutual_information_by_class, class_information(log_probs), atol=1e-5)
    assert maps.entropy.mean() == pytest.approx(scores.entropy.mean[0], rel=1e-6)
    np.testing.assert_allclose(np.bincount(maps.argmax.ravel(), minlength=3) / 96, scores.by_class.argmax[0], rtol=1e-6)


def test_frames_of_another_size_are_refused(tmp_path: Path, opened: Any) -> None:
    engine = opened(write_ensemble(tmp_path, [Drawn()]))
    with pytest.raises(ValueError, match=r"expected \(height, width, 3\) \(16, 24, 3\), got \(16, 25, 3\)"):
        engine.score(batch(draw_frames(1, (16, 25))))


@pytest.mark.parametrize(
    ("members", "changes", "message"),
    [
        (
            [Drawn()],
            {"output": {"full": "native"}, "resolution": "full"},
            r"members\[0\] \(drawn_0\.onnx\): expected full logits of \(16, 24\) positions, .* got \(8, 12\)",
        ),
        ([Drawn()], {"output": {"native": "native", "embedding": "features"}}, r"expected a vector \(N, D\) a frame"),
        ([Drawn()], {"regions": {"rows": 9, "columns": 4}}, "regions: expected at most 8 rows and 12 columns"),
    ],
)
def test_what_only_running_shows_is_refused_at_opening(
    tmp_path: Path, members: list[Drawn], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(EnsembleError, match=message):
        open_engine(write_ensemble(tmp_path, members, **changes), threads=1)


def test_a_graph_that_does_not_run_is_refused(tmp_path: Path) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, [Drawn()]))
    ensemble.networks[0].graph.node[0].op_type = "Convolution"
    with pytest.raises(EnsembleError, match="expected networks that ONNX Runtime can load") as caught:
        OnnxEngine(ensemble, threads=1)
    assert "\n" not in str(caught.value)


def test_without_onnx_runtime_it_says_what_to_install(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn()])
    script = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from fleetsift.engines.open import open_engine\n"
        "from fleetsift.errors import MissingExtra\n"
        f"try: open_engine({str(path)!r})\n"
        "except MissingExtra as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    remedy = "pip install 'fleetsift[cpu]', in a clone '.[cpu]'"
    assert found.stdout == f"engine onnx: the package onnxruntime is not installed; {remedy}\n"
