"""Views: a mirror image's prediction is un-flipped and is a member too; EquAL says how far the two views are apart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given

from benchmarks.camvid import camvid_networks, write_camvid
from fleetsift.engines.compiled.consistency import equal_scores
from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.formulas.uncertainty import log_softmax, score_frame
from fleetsift.engines.graphs.fuse import fuse
from fleetsift.engines.rows import gather_rows
from fleetsift.schemas.scores import F32
from tests.engines.closeness import assert_close
from tests.engines.drawn_logits import examples, logits, random_logits
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.engines.runtimes.test_onnx import NORMALISED
from tests.engines.scored import score
from tests.engines.test_camvid import camvid_frames
from tests.engines.test_tasks import FULL, NATIVE, PROBABILITIES, logits_of

VIEWS = ["identity", "hflip"]


def plain_equal(logits_achw: Any) -> list[float]:
    """Jensen-Shannon divergence and argmax disagreement as they are defined, of two softmaxes after another."""
    found = []
    for a in range(0, len(logits_achw), 2):
        log_p, log_q = log_softmax(logits_achw[a : a + 2])
        p, q = np.exp(log_p), np.exp(log_q)
        log_mean = np.logaddexp(log_p, log_q) - math.log(2)
        divergence = (p * (log_p - log_mean) + q * (log_q - log_mean)).sum(axis=0) / 2
        found.append([divergence.mean(), (log_p.argmax(axis=0) != log_q.argmax(axis=0)).mean()])
    return list(np.mean(found, axis=0))


@pytest.mark.parametrize(
    ("task", "members", "changes"),
    [
        ("semantic_segmentation", [Drawn(0), Drawn(1)], {"output": NATIVE}),
        ("semantic_segmentation", [Drawn(0)], {"output": FULL, "resolution": "full"}),
        ("semantic_segmentation", [Drawn(0, activation="Softmax")], {"output": NATIVE | PROBABILITIES}),
        ("classification", [Drawn(0, pooled=True), Drawn(1, pooled=True)], {"output": FULL, "resolution": "full"}),
        ("detection_heatmap", [Drawn(0), Drawn(1)], {"output": NATIVE}),
    ],
)
def test_the_un_flipped_view_is_a_member(
    tmp_path: Path, task: str, members: list[Drawn], changes: dict[str, Any]
) -> None:
    path = write_ensemble(tmp_path, members, task=task, views=VIEWS, **changes)
    spec = read_ensemble(path).spec
    frames = draw_frames(3)
    answers = []
    for m in range(len(members)):
        answers += [logits_of(path, spec, m, frames), logits_of(path, spec, m, frames[:, :, ::-1])[..., ::-1]]
    of_frames = np.stack(answers, axis=1)
    rows = [score_frame(of_frame, spec.grid, spec.top_share, task=spec.task) for of_frame in of_frames]
    scores = score(path, frames)
    equal = scores.equal
    assert (equal is None) == (task == "detection_heatmap")
    expected = gather_rows(rows, spec.classes, spec.grid, 0, spec.task, equal=equal is not None)
    if equal and expected.equal:
        expected.equal.jensen_shannon[:], expected.equal.argmax_disagreement[:] = zip(
            *(plain_equal(of_frame) for of_frame in of_frames), strict=True
        )
        assert equal.jensen_shannon.min() > 0
    assert_close(scores, expected)


def test_weights_are_there_once_and_the_embedding_is_of_the_frame_as_it_is(tmp_path: Path) -> None:
    frames = draw_frames(2)
    members = [Drawn(0), Drawn(1, spec={"input": NORMALISED})]
    weights, embeddings = [], []
    for views in (["identity"], VIEWS):
        path = write_ensemble(tmp_path, members, views=views)
        graph = fuse(read_ensemble(path)).graph
        weights.append({w.name for w in graph.initializer if w.name.startswith("member_")})
        embeddings.append(score(path, frames).embedding)
    assert weights[0] == weights[1]
    np.testing.assert_array_equal(embeddings[0], embeddings[1])


@examples
@given(logits)
def test_both_distances_are_those_of_their_definition(logits_mchw: F32) -> None:
    pairs = np.repeat(logits_mchw, 2, axis=0)
    pairs[1::2] = logits_mchw[::-1]
    np.testing.assert_allclose(equal_scores(pairs), plain_equal(pairs), atol=1e-5)


def test_4_views_that_agree_are_consistent_however_unsure_they_are() -> None:
    """Mistake 4 of SCORES.md: the sum of the two views' entropies would be highest here."""
    unsure = np.repeat(random_logits(1, 4, 6, 8, spread=0.1), 2, axis=0)
    assert reduce_logits(unsure).map_of("entropy").min() > 1.3
    np.testing.assert_allclose(equal_scores(unsure), 0, atol=1e-7)
    sure = np.zeros((2, 4, 6, 8), np.float32)
    sure[0, 0] = sure[1, 1] = 50
    np.testing.assert_allclose(equal_scores(sure), [math.log(2), 1], rtol=1e-6)


@pytest.mark.slow
def test_a_real_network_sees_mirror_images_almost_alike(tmp_path: Path, shared_data: Path) -> None:
    path = write_camvid(tmp_path, shared_data, "native")
    text = path.read_text() + "views: [identity, hflip]\n"
    path.write_text(text)
    frames = camvid_frames(shared_data, 2)
    images = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / 255
    answers = []
    for file in camvid_networks(shared_data):
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        (seen,), (mirrored,) = (session.run(["native"], {"images": i}) for i in (images, images[..., ::-1].copy()))
        answers += [seen, mirrored[..., ::-1]]
    expected = np.array([plain_equal(of_frame) for of_frame in np.stack(answers, axis=1)])
    equal = score(path, frames).equal
    assert equal is not None
    np.testing.assert_allclose(equal.jensen_shannon, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(equal.argmax_disagreement, expected[:, 1], atol=2e-4)  # ties but for rounding
    assert (equal.jensen_shannon > 0.005).all()
    assert (equal.jensen_shannon < 0.2).all()
