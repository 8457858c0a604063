"""The torch engine on real networks: what CamVid's and a detector's files answer by ONNX Runtime, reduced by torch.

The files are not modules: a module asks each, so that engine and reference have the same logits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from benchmarks.camvid import camvid_networks, read_frames, write_camvid
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.modules.torch import TorchEnsemble, open_torch_engine
from fleetsift.engines.truth.parity import measure_parity
from tests.engines.test_fastestdet import GIVES, Frames, write_fastestdet
from tests.engines.test_fastestdet import frames as frames  # noqa: PLC0414 - seven dash cameras'


class Answered(nn.Module):
    """A network's file as a module."""

    def __init__(self, file: Path, *tensors: str) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.tensors = list(tensors)

    def __deepcopy__(self, _: Any) -> Answered:
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        given = self.session.get_inputs()[0].name
        return tuple(map(torch.from_numpy, self.session.run(self.tensors, {given: np.ascontiguousarray(images)})))


class ClassLogits(nn.Module):
    """What an owner writes round a detector that answers probabilities: objectness times class, as logits."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        (answer,) = self.detector(images)
        p = answer[:, :1].double() * answer[:, 5:].double()
        return torch.logit(p)


def assert_true(ensemble: Ensemble, modules: tuple[nn.Module, ...], pixels: Frames) -> None:
    spec = ensemble.spec
    written = TorchEnsemble(spec.name, spec.classes, modules, spec.input, spec.task, spec.views)
    engine = open_torch_engine(written, batch=1)
    parity = measure_parity(engine, ensemble, pixels)
    engine.close()
    assert parity.holds, parity.worst
    assert parity.worst[1] > 0  # it is another way to the same numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resolution", "tensor", "views"),
    [("native", "native", "[identity, hflip]"), ("full", "logits", "[identity]")],
)
def test_scores_are_those_of_the_reference(
    tmp_path: Path, shared_data: Path, resolution: str, tensor: str, views: str
) -> None:
    path = write_camvid(tmp_path, shared_data, resolution)
    path.write_text(f"{path.read_text()}views: {views}\n")
    modules = tuple(Answered(file, tensor, "embedding") for file in camvid_networks(shared_data))
    assert_true(read_ensemble(path), modules, read_frames(shared_data, 1))


def test_the_real_detectors_heat_maps_are_those_of_the_reference(
    tmp_path: Path, shared_data: Path, frames: Frames
) -> None:
    detector = Answered(shared_data / "models" / "fastestdet_coco.onnx", GIVES)
    ensemble = read_ensemble(write_fastestdet(tmp_path, shared_data / "models", views=["identity", "hflip"]))
    assert_true(ensemble, (ClassLogits(detector),), frames)
