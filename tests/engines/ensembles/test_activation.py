"""A network's own activation: left out where the file says that it is there, refused where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from fleetsift.engines.ensembles.ensemble import gives_probabilities, logits_name, read_ensemble
from fleetsift.engines.ensembles.networks import network_sha256
from fleetsift.engines.graphs.fuse import FRAMES, fuse
from fleetsift.engines.graphs.reduction import fuse_maps, fuse_scores
from fleetsift.engines.runtimes.sessions import open_session
from fleetsift.errors import EnsembleError
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.engines.scored import score

NAMED = {"full": "logits", "native": "native", "activation": "probabilities"}


@pytest.mark.parametrize(
    ("task", "operator", "pooled"),
    [
        ("semantic_segmentation", "Softmax", False),
        ("detection_heatmap", "Sigmoid", False),
        ("classification", "Softmax", True),
    ],
)
def test_a_last_activation_is_left_out(tmp_path: Path, task: str, operator: str, pooled: bool) -> None:
    resolution = "full" if pooled else "native"
    (tmp_path / "bare").mkdir()
    made = [Drawn(m, activation=operator, pooled=pooled) for m in range(2)]
    bare = [Drawn(m, pooled=pooled) for m in range(2)]
    path = write_ensemble(tmp_path, made, task=task, resolution=resolution, output=NAMED)
    ensemble = read_ensemble(path)
    assert not gives_probabilities(ensemble, 0)
    assert not {operator, "Log"} & {node.op_type for node in fuse(ensemble).graph.node}
    output = {"full": "logits", "native": "native"}
    expected = write_ensemble(tmp_path / "bare", bare, task=task, resolution=resolution, output=output)
    assert_close(score(path, draw_frames(3)), score(expected, draw_frames(3)), tolerance=1e-6)


def test_logits_behind_which_an_enlargement_and_a_softmax_stand_are_found(tmp_path: Path) -> None:
    """Softmax(Resize(logits)): the answer at the networks' own stride is before both."""
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)], output={"full": "logits", "activation": "probabilities"})
    for m in range(2):
        file = tmp_path / f"drawn_{m}.onnx"
        network = onnx.load(file)
        network.graph.node.append(onnx.helper.make_node("Softmax", ["logits"], ["p"], axis=-3))
        network.graph.output[0].name = "p"
        onnx.save(network, file)
    ensemble = read_ensemble(rewrite(path, output={"full": "p", "activation": "probabilities"}))
    assert [logits_name(ensemble, m) for m in range(2)] == ["native"] * 2
    assert not gives_probabilities(ensemble, 0)
    full = read_ensemble(rewrite(path, output={"full": "p", "activation": "probabilities"}, resolution="full"))
    assert [logits_name(full, m) for m in range(2)] == ["logits"] * 2


@pytest.mark.parametrize("opset", [13, 18])
def test_a_softmax_that_is_no_last_step_is_written_out(tmp_path: Path, opset: int) -> None:
    """Resize(Softmax(logits)): at full size it has to be computed, but never along an axis that is not the last."""
    members = [Drawn(m, activation="Softmax", opset=opset) for m in range(2)]
    path = write_ensemble(tmp_path, members, resolution="full", output=NAMED)
    ensemble = read_ensemble(path)
    assert gives_probabilities(ensemble, 0)
    for graph in (fuse(ensemble), fuse_scores(ensemble), fuse_maps(ensemble)):
        onnx.checker.check_model(graph, full_check=True)
        assert "Softmax" not in {node.op_type for node in graph.graph.node}
    frames = draw_frames(1)
    images = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / 255
    expected = open_session(ensemble.networks[0], "drawn").run(["logits"], {"images": images})[0]
    found = open_session(fuse(ensemble), "fused").run(["logits_0"], {FRAMES: frames})[0]
    np.testing.assert_allclose(np.exp(found), expected, atol=1e-6)


def test_01_a_softmax_that_is_not_told_of_is_refused(tmp_path: Path) -> None:
    """Mistake 1 of SCORES.md: softmaxed twice, p = 0.99 would have ten times its entropy."""
    for operator in ("Softmax", "Sigmoid"):
        path = write_ensemble(tmp_path, [Drawn(0, activation=operator)], output={"full": "logits", "native": "native"})
        with pytest.raises(EnsembleError, match=rf"native: expected logits, got what a {operator} makes of them; say"):
            read_ensemble(path)


def rewrite(path: Path, **changes: Any) -> Path:
    """The ensemble file with fields changed and the hashes of its networks as they are now."""
    spec = yaml.safe_load(path.read_text()) | changes
    for member in spec["members"]:
        member["sha256"] = network_sha256(path.parent / member["file"])
    path.write_text(yaml.safe_dump(spec))
    return path
