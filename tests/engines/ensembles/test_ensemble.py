"""An ensemble file is held against its networks, and says in one line what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.errors import ConfigError, EnsembleError
from tests.engines.drawn_networks import Drawn, draw_network, write_altered, write_ensemble


def test_an_ensemble_is_read_with_its_networks(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)])
    ensemble = read_ensemble(path)
    assert ensemble.networks == (draw_network(Drawn(0)), draw_network(Drawn(1)))
    assert ensemble.ensemble_id == ensemble.spec.ensemble_id
    assert ensemble.folder == tmp_path


def test_an_ensemble_that_lost_a_member_is_another_one(tmp_path: Path) -> None:
    """Mistake 9 of SCORES.md: their scores are never ranked together."""
    whole = read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)])).ensemble_id
    assert read_ensemble(write_ensemble(tmp_path, [Drawn(0)])).ensemble_id != whole


def test_the_id_does_not_change_with_the_place(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = (write_ensemble(tmp_path / name, [Drawn()]) for name in ("here", "there"))
    assert read_ensemble(here).ensemble_id == read_ensemble(there).ensemble_id


def test_a_missing_ensemble_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected an ensemble file, got No such file"):
        read_ensemble(tmp_path / "ensemble.yaml")


@pytest.mark.parametrize(
    ("task", "activation", "allowed"),
    [
        ("semantic_segmentation", "sigmoid", "softmax or probabilities"),
        ("classification", "sigmoid", "softmax or probabilities"),
        ("detection_heatmap", "softmax", "sigmoid or probabilities"),
    ],
)
def test_an_activation_must_fit_the_task(tmp_path: Path, task: str, activation: str, allowed: str) -> None:
    """Mistake 6 of SCORES.md: what is independent is not softmaxed."""
    members = [Drawn(0), Drawn(1, spec={"output": {"native": "native", "activation": activation}})]
    with pytest.raises(ConfigError, match=rf"members\[1\].output.activation: expected {allowed} for {task}, got"):
        read_ensemble(write_ensemble(tmp_path, members, task=task))


def test_channels_are_for_detectors(tmp_path: Path) -> None:
    output = {"native": "native", "channels": {"classes": 1}}
    with pytest.raises(ConfigError, match=r"members\[0\].output.channels: expected none for semantic_segmentation"):
        read_ensemble(write_ensemble(tmp_path, [Drawn()], output=output))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_member": 2}, "embedding_member: expected 0 to 1, got 2"),
        ({"output": {"full": "native"}}, r"members\[0\].output.native: expected the name of a tensor"),
        ({"output": {"native": "naive"}}, "expected logits named naive, got outputs logits, native, embedding"),
        ({"output": {"native": "native", "embedding": "features_"}}, "expected embedding named features_"),
        ({"classes": ["road", "car"]}, r"native: expected logits \(N, 2, h, w\) for 2 classes, got \(N, 3, 8, 12\)"),
        ({"output": {"native": "embedding"}}, r"embedding: expected logits .* got \(N, 8\)"),
        ({"input": {"height": 16, "width": 25}}, r"images: expected \(N, 3, 16, 25\) .* got \(N, 3, 16, 24\)"),
    ],
)
def test_what_the_file_says_must_fit(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)], **changes)
    with pytest.raises((ConfigError, EnsembleError), match=message) as caught:
        read_ensemble(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_with_two_inputs_is_refused(tmp_path: Path) -> None:
    network = draw_network(Drawn())
    network.graph.input.append(helper.make_tensor_value_info("speed", TensorProto.FLOAT, ["N", 1]))
    with pytest.raises(EnsembleError, match="expected a network with one input, got images, speed"):
        read_ensemble(write_altered(tmp_path, network))


def test_a_network_for_so_many_images_is_refused(tmp_path: Path) -> None:
    network = draw_network(Drawn())
    network.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, [4, 3, 16, 24]))
    with pytest.raises(EnsembleError, match=r"images: expected a network that takes any number .* got one for 4"):
        read_ensemble(write_altered(tmp_path, network))


def test_a_network_that_does_not_take_floats_is_refused(tmp_path: Path) -> None:
    network = draw_network(Drawn())
    network.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(EnsembleError, match="images: expected float32 input, got UINT8"):
        read_ensemble(write_altered(tmp_path, network))


def test_dropout_that_is_still_active_is_refused_without_passes(tmp_path: Path) -> None:
    """Mistake 11 of SCORES.md: ONNX Runtime would leave it out without a word."""
    with pytest.raises(EnsembleError, match="expected a network without active dropout; say `passes`"):
        read_ensemble(write_ensemble(tmp_path, [Drawn(dropout=0.5)]))


def test_passes_need_dropout(tmp_path: Path) -> None:
    with pytest.raises(EnsembleError, match=r"\(drawn_1\.onnx\) passes: expected a network that keeps its Dropout"):
        read_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1, spec={"passes": 4})]))
