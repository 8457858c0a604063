"""The torch engine on the real CamVid networks: what they answer by ONNX Runtime, reduced by torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from benchmarks.camvid import camvid_networks, read_frames, write_camvid
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.modules.torch import TorchEnsemble, open_torch_engine
from fleetsift.engines.truth.parity import measure_parity


class Answered(nn.Module):
    """A module that asks a network's file, so that engine and reference have the same logits."""

    def __init__(self, file: Path, tensor: str) -> None:
        super().__init__()
        self.file, self.tensor = file, tensor

    def __deepcopy__(self, _: Any) -> Answered:
        return Answered(self.file, self.tensor)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        logits, embedding = session.run([self.tensor, "embedding"], {"images": np.ascontiguousarray(images)})
        return torch.from_numpy(logits), torch.from_numpy(embedding)


@pytest.mark.parametrize(("resolution", "tensor"), [("native", "native"), ("full", "logits")])
def test_scores_are_those_of_the_reference(tmp_path: Path, shared_data: Path, resolution: str, tensor: str) -> None:
    ensemble = read_ensemble(write_camvid(tmp_path, shared_data, resolution))
    modules = tuple(Answered(file, tensor) for file in camvid_networks(shared_data))
    spec = ensemble.spec
    engine = open_torch_engine(TorchEnsemble("camvid", spec.classes, modules, spec.input), batch=1)
    parity = measure_parity(engine, ensemble, read_frames(shared_data, 1))
    engine.close()
    assert parity.holds, parity.worst
    assert parity.worst[1] > 0  # it is another way to the same numbers
