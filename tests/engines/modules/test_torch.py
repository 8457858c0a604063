"""Ensembles of modules: the reduction in plain torch and as a Triton kernel, against the float64 reference.

The kernel runs in Triton's interpreter, and is compiled for cards; a CUDA device has not been seen by these tests.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

from fleetsift.engines.formulas import uncertainty
from fleetsift.engines.modules.reduction import answers_of, reduce_members
from fleetsift.engines.modules.torch import TorchEnsemble, open_torch_engine
from fleetsift.engines.rows import FrameRow, gather_rows
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.ensemble import InputSpec, RegionSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores
from fleetsift.schemas.status import Problem, Status
from tests.engines.closeness import assert_close
from tests.engines.drawn_logits import examples, logits, random_logits
from tests.engines.drawn_networks import CLASSES, draw_frames

NORMALISED = InputSpec(height=16, width=24, channels="bgr", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


class Small(nn.Module):
    """A convolution of stride 2, dropout that must be off, a classifier; an embedding beside it."""

    def __init__(self, seed: int, *, gain: float = 3.0, stride: int = 2, embeds: bool = True) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Conv2d(8, len(CLASSES), 1)
        self.gain, self.embeds = gain, embeds

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.features(images)
        logits = self.head(features) * self.gain
        return (logits, features.mean((2, 3))) if self.embeds else logits


def ensemble_of(*modules: nn.Module, **changes: Any) -> TorchEnsemble:
    fields: dict[str, Any] = {"name": "modules", "classes": CLASSES, "input": NORMALISED, "top_share": 0.1}
    return TorchEnsemble(modules=modules, **(fields | changes))


def gathered(rows: list[FrameRow | Problem], size: int) -> FrameScores:
    return gather_rows(rows, CLASSES, RegionSpec(), size)


@torch.inference_mode()
def reference(modules: list[Small], frames: Any) -> FrameScores:
    images = frames[..., ::-1].transpose(0, 3, 1, 2) / 255.0
    mean, std = (np.array(values)[:, None, None] for values in (NORMALISED.mean, NORMALISED.std))
    taken = torch.from_numpy(((images - mean) / std).astype(np.float32))
    answers: Any = [module.eval()(taken) for module in modules]
    stacked = np.stack([logits.numpy() for logits, _ in answers], axis=1)
    embedding = answers[0][1].numpy()
    rows = [uncertainty.score_frame(stacked[i], RegionSpec(), 0.1, embedding[i]) for i in range(len(frames))]
    return gathered(rows, 8)


def test_scores_are_those_of_the_reference() -> None:
    modules, frames = [Small(seed) for seed in range(3)], draw_frames(3)
    engine = open_torch_engine(ensemble_of(*modules), batch=2)
    assert_close(engine.score(FrameBatch(frames, (None,) * 3)), reference(modules, frames))
    assert (engine.members, engine.classes, engine.frame_size) == (3, CLASSES, (16, 24))


def test_modules_are_copied_in_evaluation_mode() -> None:
    """Training goes on beside the engine and does not change its numbers; dropout is off in it."""
    module = Small(0).train()
    engine, frames = open_torch_engine(ensemble_of(module), batch=1), FrameBatch(draw_frames(1), (None,))
    before = engine.score(frames)
    with torch.no_grad():
        module.head.weight.zero_()
    assert module.training
    np.testing.assert_array_equal(engine.score(frames).entropy.mean, before.entropy.mean)


def test_the_id_is_the_weights(tmp_path: Path) -> None:
    ids = {
        open_torch_engine(ensemble_of(*modules, **changes), batch=1, half=half).ensemble_id
        for modules, changes, half in (
            ([Small(0)], {}, False),
            ([Small(0)], {}, False),
            ([Small(1)], {}, False),
            ([Small(0), Small(1)], {}, False),
            ([Small(0)], {"top_share": 0.2}, False),
            ([Small(0)], {}, True),
        )
    }
    assert len(ids) == 5


def test_maps_are_those_of_the_reference() -> None:
    modules, frames = [Small(0), Small(1)], draw_frames(1)
    engine = open_torch_engine(ensemble_of(*modules))
    maps, scores = engine.maps(frames[0]), engine.score(FrameBatch(frames, (None,)))
    assert maps.entropy.shape == (8, 12)
    assert maps.entropy.mean() == pytest.approx(scores.entropy.mean[0], rel=1e-6)
    np.testing.assert_allclose(maps.entropy_by_class.sum(0), maps.entropy, atol=1e-6)
    np.testing.assert_allclose(maps.mutual_information_by_class.sum(0), maps.mutual_information, atol=1e-6)
    shares: Any = scores.by_class.argmax
    np.testing.assert_allclose(np.bincount(maps.argmax.ravel(), minlength=3) / 96.0, shares[0], rtol=1e-6)


def test_float16_networks_are_near() -> None:
    modules, frames = [Small(0), Small(1)], FrameBatch(draw_frames(2), (None,) * 2)
    halved, whole = (open_torch_engine(ensemble_of(*modules), batch=2, half=half) for half in (True, False))
    assert_close(halved.score(frames), whole.score(frames), tolerance=0.02)


@pytest.mark.parametrize(
    ("modules", "changes", "message"),
    [
        ([Small(0), Small(1, stride=1)], {}, r"modules\[1\]: expected logits of \(8, 3, 8, 12\), got \(8, 3, 16, 24\)"),
        ([Small(0)], {"classes": ("road", "car")}, r"modules\[0\]: expected logits of \(8, 2, 8, 12\)"),
        ([Small(0)], {"regions": RegionSpec(rows=9)}, "regions: expected at most 8 rows and 12 columns"),
    ],
)
def test_modules_that_do_not_fit_are_refused(modules: list[Small], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        open_torch_engine(ensemble_of(*modules, **changes))


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


class TestThePlainReduction:
    @examples
    @given(logits)
    def test_any_logits_are_reduced_as_the_reference_does(self, logits_mchw: F32) -> None:
        assert_rows_close(logits_mchw, reduce_members(members_of(logits_mchw)))

    def test_rows_are_worked_on_in_blocks(self) -> None:
        logits_mchw = random_logits(3, 5, 30, 40)
        seven_rows = 5 * 40 * 7  # and two rows at the end
        assert_rows_close(logits_mchw, reduce_members(members_of(logits_mchw), block=seven_rows))

    def test_members_are_asked_for_one_at_a_time(self) -> None:
        alive: list[int] = []

        def members() -> Iterator[Tensor]:
            for m in range(3):
                alive.append(m)
                yield torch.randn(1, 2, 4, 4)

        reduce_members(members())
        assert alive == [0, 1, 2]
        with pytest.raises(ValueError, match="expected at least one member"):
            reduce_members(iter(()))


def members_of(logits_mchw: F32) -> Iterator[Tensor]:
    return (torch.from_numpy(member[None].copy()) for member in logits_mchw)


def assert_rows_close(logits_mchw: F32, reduced: Any) -> None:
    classes = logits_mchw.shape[1]
    regions = RegionSpec(rows=min(2, logits_mchw.shape[2]), columns=min(3, logits_mchw.shape[3]))
    expected = uncertainty.score_frame(logits_mchw, regions, 0.1)
    answers = {name: values[0].numpy() for name, values in answers_of(reduced, regions, 0.1).items()}
    found = FrameRow(
        answers["statistics"],
        answers["by_class"],
        answers["regions"],
        np.empty(0, np.float32),
        region_argmax=answers["region_argmax"],
    )
    names = tuple(f"class_{c}" for c in range(classes))
    assert_close(gather_rows([found], names, regions, 0), gather_rows([expected], names, regions, 0))


KERNEL = """
import numpy as np, torch
from fleetsift.engines.modules.triton_reduction import reduce_stacked
from tests.engines.drawn_logits import random_logits
from tests.engines.modules.test_torch import assert_rows_close

ties = np.zeros((2, 3, 4, 5), np.float32)
extreme = np.where(random_logits(3, 4, 4, 5) > 0, np.float32(1e4), np.float32(-1e4))
for logits in (random_logits(1, 2, 3, 4), random_logits(4, 19, 9, 31), ties, extreme):
    assert_rows_close(logits, reduce_stacked(torch.from_numpy(logits[:, None].copy())))
batch = torch.from_numpy(np.stack([random_logits(3, 5, 6, 7, seed=seed) for seed in range(3)], axis=1))
together = reduce_stacked(batch)
for n in range(3):
    alone = reduce_stacked(batch[:, n : n + 1].contiguous())
    assert torch.equal(together.maps[n], alone.maps[0])
    assert torch.equal(together.class_sums[n], alone.class_sums[0])
broken = batch.clone()
for m, value in enumerate((float("nan"), float("inf"), float("-inf"))):
    broken[m, m, 1, 2, 3] = value
finite = torch.isfinite(reduce_stacked(broken).member_entropies)
assert torch.equal(finite, ~torch.eye(3, dtype=torch.bool)), finite
print("alike")
"""


@pytest.mark.slow
def test_the_kernel_is_the_reference_in_tritons_interpreter() -> None:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed; it comes with torch on Linux")
    script = subprocess.run(
        [sys.executable, "-c", KERNEL],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.stdout == "alike\n", script.stderr


COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from fleetsift.engines.modules.triton_reduction import _reduce

types = ["*fp32"] * 4 + ["*i64"] + ["i32"] * 5 + ["fp32"] * 3
signature = dict(zip(_reduce.arg_names, types + ["constexpr"] * 2, strict=True))
source = ASTSource(fn=_reduce, signature=signature, constexprs={"padded": 32, "block": 64})
for architecture in (75, 90):
    compiled = compile(source, target=GPUTarget("cuda", architecture, 32), options={"enable_fp_fusion": True})
    assert compiled.asm["cubin"][:4] == b"\\x7fELF"
print("compiled")
"""


@pytest.mark.slow
def test_the_kernel_compiles_for_cards_that_are_not_here(tmp_path: Path) -> None:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed; it comes with torch on Linux")
    script = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=os.environ | {"TRITON_CACHE_DIR": str(tmp_path)},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.stdout == "compiled\n", script.stderr
