"""Ensembles of modules, whatever their task, against the float64 reference on the logits that each gives by itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fleetsift.engines.formulas import uncertainty
from fleetsift.engines.modules.torch import TorchEnsemble, open_torch_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.ensemble import InputSpec, RegionSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import EqualScores, FrameScores, Task, has_independent_classes
from fleetsift.schemas.status import Status
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import CLASSES, draw_frames
from tests.engines.reductions import TASKS
from tests.engines.test_views import plain_equal

NORMALISED = InputSpec(height=16, width=24, channels="bgr", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
BOTH = ("identity", "hflip")


class Small(nn.Module):
    """A convolution of stride 2, dropout that must be off, a classifier; an embedding beside it."""

    def __init__(
        self, seed: int, *, gain: float = 3.0, stride: int = 2, embeds: bool = True, pooled: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Conv2d(8, len(CLASSES), 1)
        self.gain, self.embeds, self.pooled = gain, embeds, pooled

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.features(images)
        logits = self.head(features) * self.gain
        logits = logits.mean((2, 3)) if self.pooled else logits
        return (logits, features.mean((2, 3))) if self.embeds else logits


def ensemble_of(*modules: nn.Module, **changes: Any) -> TorchEnsemble:
    fields: dict[str, Any] = {"name": "modules", "classes": CLASSES, "input": NORMALISED, "top_share": 0.1}
    return TorchEnsemble(modules=modules, **(fields | changes))


@torch.inference_mode()
def reference(modules: list[Small], frames: Any, task: Task, views: tuple[str, ...]) -> FrameScores:
    images = frames[..., ::-1].transpose(0, 3, 1, 2) / 255.0
    mean, std = (np.array(values)[:, None, None] for values in (NORMALISED.mean, NORMALISED.std))
    taken = torch.from_numpy(((images - mean) / std).astype(np.float32))
    answers: list[Any] = []
    for module in modules:
        for view in views:
            logits = module.eval()(taken if view == "identity" else taken.flip(3))[0].numpy()
            logits = logits.reshape(*logits.shape[:2], *(logits.shape[2:] or (1, 1)))
            answers.append(logits if view == "identity" else logits[..., ::-1])
    of_frames, embedding = np.stack(answers, axis=1), modules[0](taken)[1].numpy()
    grid = None if task == "classification" else RegionSpec()
    rows = [
        uncertainty.score_frame(of_frame, grid, 0.1, vector, task)
        for of_frame, vector in zip(of_frames, embedding, strict=True)
    ]
    compared = len(views) == 2 and not has_independent_classes(task)
    scores = gather_rows(rows, CLASSES, grid, 8, task, equal=compared)
    if isinstance(scores.equal, EqualScores):
        distances = np.array([plain_equal(of_frame) for of_frame in of_frames])
        scores.equal.jensen_shannon[:], scores.equal.argmax_disagreement[:] = distances.T
    return scores


@pytest.mark.parametrize("views", [("identity",), BOTH])
@pytest.mark.parametrize("task", TASKS)
def test_scores_are_those_of_the_reference(task: Task, views: tuple[str, ...]) -> None:
    modules, frames = [Small(seed, pooled=task == "classification") for seed in range(3)], draw_frames(3)
    engine = open_torch_engine(ensemble_of(*modules, task=task, views=views), batch=2)
    assert_close(engine.score(FrameBatch(frames, (None,) * 3)), reference(modules, frames, task, views))
    assert (engine.members, engine.classes, engine.frame_size) == (3 * len(views), CLASSES, (16, 24))


def test_modules_are_copied_in_evaluation_mode() -> None:
    """Training goes on beside the engine and does not change its numbers; dropout is off in it."""
    module = Small(0).train()
    engine, frames = open_torch_engine(ensemble_of(module), batch=1), FrameBatch(draw_frames(1), (None,))
    before = engine.score(frames)
    with torch.no_grad():
        module.head.weight.zero_()
    assert module.training
    np.testing.assert_array_equal(engine.score(frames).entropy.mean, before.entropy.mean)


def test_the_id_is_the_weights_and_what_is_made_of_them() -> None:
    ids = {
        open_torch_engine(ensemble_of(*modules, **changes), batch=1, half=half).ensemble_id
        for modules, changes, half in (
            ([Small(0)], {}, False),
            ([Small(0)], {}, False),
            ([Small(1)], {}, False),
            ([Small(0), Small(1)], {}, False),
            ([Small(0)], {"top_share": 0.2}, False),
            ([Small(0)], {}, True),
            ([Small(0)], {"task": "detection_heatmap"}, False),
            ([Small(0)], {"views": BOTH}, False),
        )
    }
    assert len(ids) == 7


@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_maps_average_to_the_scores(task: Task) -> None:
    modules, frames = [Small(0), Small(1)], draw_frames(1)
    engine = open_torch_engine(ensemble_of(*modules, task=task))
    maps, scores = engine.maps(frames[0]), engine.score(FrameBatch(frames, (None,)))
    assert maps.entropy.shape == (8, 12)
    assert maps.entropy.mean() == pytest.approx(scores.entropy.mean[0], rel=1e-6)
    np.testing.assert_allclose(maps.entropy_by_class.sum(0), maps.entropy, atol=1e-6)
    np.testing.assert_allclose(maps.mutual_information_by_class.sum(0), maps.mutual_information, atol=1e-6)
    np.testing.assert_allclose(maps.entropy_by_class.mean((1, 2)), scores.by_class.entropy[0], rtol=1e-5)
    shares = np.bincount(maps.argmax.ravel(), minlength=3) / 96.0
    if scores.by_class.argmax is None:  # of independent classes none need be the answer
        assert np.argmax(shares) == np.argmax(scores.by_class.area[0])
    else:
        np.testing.assert_allclose(shares, scores.by_class.argmax[0], rtol=1e-6)


def test_float16_networks_are_near() -> None:
    modules, frames = [Small(0), Small(1)], FrameBatch(draw_frames(2), (None,) * 2)
    halved, whole = (open_torch_engine(ensemble_of(*modules), batch=2, half=half) for half in (True, False))
    assert_close(halved.score(frames), whole.score(frames), tolerance=0.02)


class Boxes(nn.Module):
    """What detectors of torchvision answer with."""

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        return [{"boxes": torch.zeros(0, 4)} for _ in images]


@pytest.mark.parametrize(
    ("modules", "changes", "message"),
    [
        ([Small(0), Small(1, stride=1)], {}, r"modules\[1\]: expected logits \(8, 3, 8, 12\), .* got \(8, 3, 16, 24\)"),
        (
            [Small(0)],
            {"classes": ("road", "car")},
            r"modules\[0\]: expected logits \(8, 2, h, w\), a class a channel, got",
        ),
        ([Small(0)], {"regions": RegionSpec(rows=9)}, "regions: expected at most 8 rows and 12 columns"),
        ([Small(0)], {"task": "classification"}, r"expected logits \(8, 3\), .* got \(8, 3, 8, 12\)"),
        ([Small(0, pooled=True)], {}, r"expected logits \(8, 3, h, w\), .* got \(8, 3\); wrap it in a module"),
        ([Boxes()], {"task": "detection_heatmap"}, "a class a channel, got list; .* for boxes export it to ONNX"),
    ],
)
def test_modules_that_do_not_fit_are_refused(modules: list[nn.Module], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        open_torch_engine(ensemble_of(*modules, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "My Net"}, "My Net: Expected `str` matching regex .* at `[$].name`; mend"),
        ({"task": "detection"}, "modules: .*'detection'.*mend the TorchEnsemble"),
        ({"views": ("hflip",)}, "modules: views: expected identity, or identity and hflip, got hflip"),
    ],
)
def test_an_ensemble_that_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_torch_engine(ensemble_of(Small(0), **changes))


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="torch device: expected one that is here, got cuda:99"):
        open_torch_engine(ensemble_of(Small(0)), device="cuda:99")


def test_a_module_need_not_embed() -> None:
    engine = open_torch_engine(ensemble_of(Small(0, embeds=False)), batch=1)
    assert engine.score(FrameBatch(draw_frames(1), (None,))).embedding.shape == (1, 0)


def test_a_module_that_answers_infinity_makes_a_problem_of_its_frame() -> None:
    broken = Small(1, gain=torch.inf)
    engine = open_torch_engine(ensemble_of(Small(0), broken), batch=2)
    (problem,) = engine.score(FrameBatch(draw_frames(1), (None,))).problems
    assert problem is not None
    assert problem.status is Status.NON_FINITE
    assert problem.reason.startswith("members[1] (Small): expected finite logits")


def test_the_page_about_engines_scores_modules() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "engines.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {"networks": (Small(0), Small(1)), "frames": draw_frames(2, (360, 480))}
    exec(example, namespace)
    assert (namespace["scores"].mutual_information.mean > 0).all()


def test_without_torch_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from fleetsift import FleetsiftError\n"
        "try: from fleetsift import open_torch_engine\n"
        "except FleetsiftError as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    remedy = "pip install 'fleetsift[torch]', in a clone '.[torch]'"
    assert found.stdout == f"engine torch: the package torch is not installed; {remedy}\n"
