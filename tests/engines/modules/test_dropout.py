"""Passes of modules with dropout: each drops the same of every frame, whatever is in its batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.graphs.dropout import dropout_mask
from fleetsift.engines.modules.dropout import masked
from fleetsift.engines.modules.torch import open_torch_engine
from fleetsift.engines.rows import gather_rows
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import InputSpec, RegionSpec
from fleetsift.schemas.frames import FrameBatch
from tests.engines.closeness import assert_close, assert_identical
from tests.engines.drawn_networks import CLASSES, draw_frames
from tests.engines.modules.test_torch import Small, ensemble_of

PLAIN = InputSpec(height=16, width=24)


@torch.inference_mode()
def answers_of(module: Small, frames: Any, passes: int, seed: int, member: int) -> list[Any]:
    """The logits of each pass, with the masks that a graph would have."""
    taken = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    undropped = module.eval().features(taken)
    masks = [dropout_mask((1, 8, 8, 12), 0.5, (seed, member, k, 0)) for k in range(passes)]
    return [(module.head(undropped * torch.from_numpy(mask)) * module.gain).numpy() for mask in masks]


def test_passes_are_members_with_masks_of_their_own() -> None:
    modules, frames = [Small(0, embeds=False), Small(1, embeds=False)], draw_frames(3)
    engine = open_torch_engine(ensemble_of(*modules, input=PLAIN, passes=4, seed=7), batch=2)
    logits = np.stack([a for m, module in enumerate(modules) for a in answers_of(module, frames, 4, 7, m)], axis=1)
    expected = [score_frame(of_frame, RegionSpec(), 0.1) for of_frame in logits]
    scores = engine.score(FrameBatch(frames, (None,) * 3))
    assert engine.members == 8
    assert_close(scores, gather_rows(expected, CLASSES, RegionSpec(), 0))
    assert scores.mutual_information.mean.min() > 0.01
    again = open_torch_engine(ensemble_of(*modules, input=PLAIN, passes=4, seed=7), batch=2)
    assert_identical(again.score(FrameBatch(frames, (None,) * 3)), scores)


def test_passes_share_their_weights() -> None:
    module = Small(0)
    passes = [masked(module, (0, 0, k)) for k in range(3)]
    assert {id(one.head.weight) for one in passes if isinstance(one, Small)} == {id(module.head.weight)}


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout(0.5), (1, 4, 5, 6)), (nn.Dropout2d(0.5), (1, 4, 1, 1))])
def test_layers_drop_what_they_drop(layer: nn.Module, shape: tuple[int, ...]) -> None:
    dropped: Tensor = masked(nn.Sequential(layer), (3, 0, 1))(torch.ones(2, 4, 5, 6))
    expected = np.broadcast_to(dropout_mask(shape, 0.5, (3, 0, 1, 0)), (2, 4, 5, 6))
    np.testing.assert_array_equal(dropped.numpy(), expected)


def test_modules_that_drop_nothing_have_no_passes() -> None:
    with pytest.raises(EnsembleError, match=r"modules\[0\] passes: expected layers that drop .*, got none"):
        open_torch_engine(ensemble_of(nn.Conv2d(3, 3, 1), passes=4))
