"""Training end to end, for a few steps: what it writes is what it trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra torch")

from fleetsift.demo.examples import class_iou, count_agreement, draw_examples  # noqa: E402
from fleetsift.demo.export import write_ensemble  # noqa: E402
from fleetsift.demo.training.ensemble import TRAINING_MIX, train_ensemble  # noqa: E402
from fleetsift.demo.training.learning import Plan, train_member  # noqa: E402
from fleetsift.demo.training.module import as_input, fold  # noqa: E402
from fleetsift.demo.world import CLASSES  # noqa: E402
from fleetsift.engines.ensembles.ensemble import read_ensemble  # noqa: E402

torch.set_num_threads(1)  # as training does; more threads than free cores would only wait for each other

SHORT = Plan(seeds=(1, 2), frames=12, validation_frames=2, steps=3, batch=4)


def test_an_exported_network_answers_as_in_torch(tmp_path: Path) -> None:
    examples = draw_examples(TRAINING_MIX, SHORT.frames, seed=8)
    network = train_member(SHORT, 1, examples)
    path = write_ensemble(tmp_path, [fold(network)])
    session = onnxruntime.InferenceSession(path.parent / "member_1.onnx", providers=["CPUExecutionProvider"])
    images = torch.cat([as_input(image) for image in examples.images[:2]])
    with torch.no_grad():
        expected = network(images)
    for name, values in expected._asdict().items():
        (found,) = session.run([name], {"images": images.numpy()})
        assert found.shape == tuple(values.shape)
        assert np.abs(found - values.numpy()).max() < 1e-4, name


def test_training_writes_an_ensemble_and_its_record(tmp_path: Path) -> None:
    told: list[str] = []
    record = train_ensemble(SHORT, tmp_path, say=told.append)
    assert len(told) == 2
    assert len(read_ensemble(tmp_path / "ensemble.yaml").networks) == 2
    written = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert [member["seed"] for member in written["members"]] == [1, 2]
    assert set(written["members"][0]["iou"]["day"]) == {"mean", *CLASSES}
    assert set(written["information"]) == {"day", "dusk", "night", "rain", "bicycles"}
    assert record.export_difference_nats < 1e-4


def test_a_seed_fixes_the_weights() -> None:
    examples = draw_examples(TRAINING_MIX, 6, seed=8)
    one, same, other = (fold(train_member(SHORT, seed, examples)) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name].kernel, same[name].kernel) for name in one)
    assert not np.array_equal(one["classify"].kernel, other["classify"].kernel)


def test_iou_counts_pixels() -> None:
    labels = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    predicted = np.array([[0, 1, 1, 1]])
    iou = class_iou(count_agreement(predicted, labels))
    assert iou[:2].tolist() == [1 / 2, 2 / 3]
    assert np.isnan(iou[2:]).all()
