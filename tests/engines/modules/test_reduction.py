"""The reduction in torch beside what every reduction is held to: blocks, members one at a time, and Triton's kernels.

The kernels run in Triton's interpreter, and are compiled for cards; a CUDA device has not been seen by these tests.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fleetsift.engines.modules.reduction import reduce_members
from fleetsift.schemas.scores import Task
from tests.engines.closeness import assert_close
from tests.engines.drawn_logits import random_logits
from tests.engines.reductions import by_formulas, rows_of, scores_of, spec_of


@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_rows_are_worked_on_in_blocks(task: Task) -> None:
    logits_mchw = random_logits(3, 5, 30, 40)
    spec, members = spec_of(logits_mchw, task), [torch.from_numpy(member[None]) for member in logits_mchw]
    seven_rows = 5 * 40 * 7  # and two rows at the end
    found = scores_of(spec, rows_of(spec, reduce_members(members, task, block=seven_rows)))
    assert_close(found, scores_of(spec, by_formulas(spec, logits_mchw[None])))


@pytest.mark.parametrize("task", ["semantic_segmentation", "detection_heatmap"])
def test_members_are_asked_for_one_at_a_time_and_their_logits_are_left_alone(task: Task) -> None:
    logits = [torch.randn(1, 2, 4, 4) for _ in range(3)]
    before = [values.clone() for values in logits]
    asked: list[int] = []

    def members() -> Iterator[Tensor]:
        for m, values in enumerate(logits):
            asked.append(m)
            yield values

    reduce_members(members(), task)
    assert asked == [0, 1, 2]
    assert all(torch.equal(values, was) for values, was in zip(logits, before, strict=True))
    with pytest.raises(ValueError, match="expected at least one member"):
        reduce_members(iter(()), task)


KERNELS = """
import numpy as np
from tests.engines.closeness import assert_close, assert_identical
from tests.engines.drawn_logits import random_logits
from tests.engines.reductions import TASKS, by_formulas, by_triton, scores_of, spec_of

ties = np.zeros((2, 3, 4, 5), np.float32)
extreme = np.where(random_logits(3, 4, 4, 5) > 0, np.float32(1e4), np.float32(-1e4))
for task in TASKS:
    for logits in (random_logits(1, 2, 3, 4), random_logits(4, 19, 9, 31), ties, extreme):
        logits = logits[..., :1, :1] if task == "classification" else logits
        spec = spec_of(logits, task)
        found, expected = (scores_of(spec, rows(spec, logits[None])) for rows in (by_triton, by_formulas))
        assert_close(found, expected)
    batch = np.stack([random_logits(3, 5, 6, 7, seed=seed) for seed in range(3)])
    spec = spec_of(batch[0], "semantic_segmentation" if task == "classification" else task)
    together = by_triton(spec, batch)
    for n in range(3):
        assert_identical(scores_of(spec, together[n : n + 1]), scores_of(spec, by_triton(spec, batch[n : n + 1])))
    for m, value in enumerate((float("nan"), float("inf"), float("-inf"))):
        broken = batch.copy()
        broken[1, m, 1, 2, 3] = value
        problems = scores_of(spec, by_triton(spec, broken)).problems
        assert [problem is None for problem in problems] == [True, False, True]
        assert problems[1].reason.startswith(f"members[{m}]"), problems
print("alike")
"""


@pytest.mark.slow
def test_the_kernels_are_the_reference_in_tritons_interpreter() -> None:
    assert_says("alike", KERNELS, TRITON_INTERPRET="1")


COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from fleetsift.engines.modules.triton_independent import reduce_independent
from fleetsift.engines.modules.triton_softmax import reduce_softmax

types = ["*fp32"] * 4 + ["*i64"] + ["i32"] * 5 + ["fp32"] * 3
for kernel in (reduce_softmax, reduce_independent):
    signature = dict(zip(kernel.arg_names, types + ["constexpr"] * 2, strict=True))
    source = ASTSource(fn=kernel, signature=signature, constexprs={"padded": 32, "block": 64})
    for architecture in (75, 90):
        compiled = compile(source, target=GPUTarget("cuda", architecture, 32), options={"enable_fp_fusion": True})
        assert compiled.asm["cubin"][:4] == b"\\x7fELF"
print("compiled")
"""


@pytest.mark.slow
def test_the_kernels_compile_for_cards_that_are_not_here(tmp_path: Path) -> None:
    assert_says("compiled", COMPILE, TRITON_CACHE_DIR=str(tmp_path))


def assert_says(word: str, script: str, **environment: str) -> None:
    """Run a script in a process of its own, as Triton chooses its backend when it is imported."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed; it comes with torch on Linux")
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{word}\n", done.stderr
