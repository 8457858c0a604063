"""One member of the ensemble, trained on a bootstrap of labelled frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fleetsift.demo.examples import Examples
from fleetsift.demo.network import NATIVE_STRIDE
from fleetsift.demo.training.module import Network
from fleetsift.demo.world import CLASSES

TRAINING_SEED = 20_000  # no drive of the demo's fleet is among those drawn from it


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to learn; the defaults made the bundled ensemble."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)  # one a member: its weights, its bootstrap, its order
    frames: int = 1200
    validation_frames: int = 48  # of each condition
    steps: int = 1200
    batch: int = 8
    learning_rate: float = 6e-3


def train_member(plan: Plan, seed: int, examples: Examples) -> Network:
    """Train one network on a bootstrap of the examples: as many, drawn with replacement by its own seed."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([TRAINING_SEED, seed])
    bootstrap = rng.integers(len(examples), size=len(examples))
    network = Network().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, total_steps=plan.steps, pct_start=0.15
    )
    weight = torch.from_numpy(_class_weights(examples.labels))
    for images, labels in _batches(plan, examples, bootstrap, rng):
        loss = functional.cross_entropy(network(images).native, labels, weight)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return network.eval()


def _class_weights(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rare classes count more, by the inverse square root of their share."""
    share = np.bincount(labels.ravel(), minlength=len(CLASSES)) / labels.size
    weight = 1 / np.sqrt(share + 1e-4)
    scaled: NDArray[np.float32] = (weight / weight.mean()).astype(np.float32)
    return scaled


def _batches(
    plan: Plan, examples: Examples, bootstrap: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches in random order, mirrored by chance, with brightness, contrast and noise a little changed."""
    offset = NATIVE_STRIDE // 2
    for _ in range(plan.steps):
        chosen = bootstrap[rng.integers(len(bootstrap), size=plan.batch)]
        images = torch.from_numpy(examples.images[chosen]).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(examples.labels[chosen][:, offset::NATIVE_STRIDE, offset::NATIVE_STRIDE]).long()
        if rng.random() < 0.5:
            images, labels = images.flip(3), labels.flip(2)
        gain, shift = (torch.from_numpy(rng.normal(0, 0.08, (plan.batch, 3, 1, 1))).float() for _ in range(2))
        noise = torch.randn_like(images) * 0.012
        yield (images * (1 + gain) + 0.4 * shift + noise).contiguous(memory_format=torch.channels_last), labels
