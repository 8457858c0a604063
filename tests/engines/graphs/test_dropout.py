"""Monte Carlo dropout: passes are members, and what they drop is the same for every frame, batch and machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.graphs.dropout import dropout_mask
from fleetsift.engines.graphs.fuse import FRAMES, fuse, fused_logits
from fleetsift.engines.truth.sentinel import broken_disagreement
from fleetsift.errors import EnsembleError
from tests.engines.closeness import assert_identical
from tests.engines.drawn_networks import Drawn, draw_frames, draw_network, write_ensemble
from tests.engines.scored import score
from tests.engines.test_camvid import camvid_frames

PASSES = 4
DROPPED = Drawn(0, dropout=0.25, spec={"passes": PASSES})


def fused_answers(path: Path, frame: Any) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(
        fuse(read_ensemble(path)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, {FRAMES: frame}), strict=True))


def test_a_mask_is_the_same_on_every_machine() -> None:
    third = np.float32(4 / 3)
    assert dropout_mask((8,), 0.25, (0, 0, 0, 0)).tolist() == [third, third, 0, 0, third, third, third, third]
    assert dropout_mask((2, 4), 0.25, (0, 0, 1, 0)).tolist() == [[third] * 4, [0] * 4]


def test_a_mask_drops_its_share_and_keeps_the_mean() -> None:
    for ratio in (0.0, 0.1, 0.5, 0.9):
        mask = dropout_mask((200, 500), ratio, (7,))
        assert (mask == 0).mean() == pytest.approx(ratio, abs=0.01)
        assert mask.mean() == pytest.approx(1, abs=0.02)


def test_a_pass_is_the_network_with_its_mask(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [DROPPED], seed=5, output={"native": "native"})
    frame = draw_frames(1)
    found = fused_answers(path, frame)
    kept = draw_network(Drawn(0))
    kept.graph.output.append(onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(kept.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.ascontiguousarray(frame.transpose(0, 3, 1, 2), np.float32) / 255
    native, features = session.run(["native", "features"], {"images": images})
    head = next(onnx.numpy_helper.to_array(w) for w in kept.graph.initializer if w.name == "head.weight")[:, :, 0, 0]
    for k in range(PASSES):
        dropped = features * (dropout_mask(features.shape, 0.25, (5, 0, k, 0)) - 1)
        expected = native + np.einsum("cf,nfhw->nchw", head, dropped)
        np.testing.assert_allclose(found[fused_logits(k)], expected, atol=1e-4)


def test_a_row_does_not_depend_on_its_batch_or_on_the_run(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [DROPPED, Drawn(1)])
    frames = draw_frames(3)
    assert_identical(score(path, frames), score(path, frames))
    together, alone = score(path, frames), score(path, frames[2:])
    np.testing.assert_array_equal(together.mutual_information.mean[2:], alone.mutual_information.mean)
    np.testing.assert_array_equal(together.embedding[2:], alone.embedding)


def test_the_seed_draws_other_masks(tmp_path: Path) -> None:
    frames = draw_frames(1)
    found = [score(write_ensemble(tmp_path, [DROPPED], seed=seed), frames).mutual_information.mean for seed in (0, 1)]
    assert found[0] != found[1]


def test_both_views_of_a_pass_have_its_masks(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [DROPPED], views=["identity", "hflip"])
    weights = [weight.name for weight in fuse(read_ensemble(path)).graph.initializer if "mask" in weight.name]
    assert weights == [f"member_0/mask_0_of_pass_{k}" for k in range(PASSES)]
    assert [answer[1:] for answer in read_ensemble(path).spec.answers][:3] == [
        (0, "identity"),
        (0, "hflip"),
        (1, "identity"),
    ]
    assert score(path, draw_frames(1)).problems == (None,)


def test_nothing_is_left_of_the_operator(tmp_path: Path) -> None:
    fused = fuse(read_ensemble(write_ensemble(tmp_path, [DROPPED])))
    onnx.checker.check_model(fused, full_check=True)
    assert "Dropout" not in {node.op_type for node in fused.graph.node}


def test_a_ratio_that_drops_everything_is_refused(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(dropout=1.0, spec={"passes": 2})])
    with pytest.raises(EnsembleError, match=r"\) features: expected a Dropout of a known size .* ratio 1;"):
        fuse(read_ensemble(path))


def write_mc_dropout(folder: Path, models: Path, **member: Any) -> Path:
    """An ensemble file over the real network whose dropout was kept, which stays where it is."""
    known = json.loads((models / "models.json").read_text())
    network = known["camvid_mc_dropout"]
    spec = {
        "name": "mc-dropout",
        "classes": known["camvid"]["classes"],
        "members": [{"file": str(models / network["file"]), "sha256": network["sha256"], **member}],
        "input": {"height": 360, "width": 480},
        "output": {"native": "native", "embedding": "embedding"},
        "resolution": "native",
    }
    path = folder / "mc.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def test_11_real_passes_disagree_where_the_runtime_had_removed_dropout(tmp_path: Path, shared_data: Path) -> None:
    """Mistake 11 of SCORES.md."""
    frames = camvid_frames(shared_data, 2)
    file = shared_data / "models" / "camvid_3_mc_dropout.onnx"
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = np.ascontiguousarray(frames[:1].transpose(0, 3, 1, 2), np.float32) / 255
    np.testing.assert_array_equal(*(session.run(["native"], {"images": images})[0] for _ in range(2)))

    path = write_mc_dropout(tmp_path, shared_data / "models", passes=PASSES)
    scores, spec = score(path, frames), read_ensemble(path).spec
    assert scores.problems == (None, None)
    assert (scores.mutual_information.mean > 0.005).all()
    assert broken_disagreement(spec, scores.mutual_information.max) is None
    with pytest.raises(EnsembleError, match="expected a network without active dropout; say `passes`"):
        read_ensemble(write_mc_dropout(tmp_path, shared_data / "models"))
