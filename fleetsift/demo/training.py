"""Trains the demo's ensemble on drawn streets and writes it as ONNX: `python -m fleetsift.demo.training`.

Most of what the networks learn from is dry and by day, as most of what a real fleet records. At night, in the rain
and before bicycles they know less and therefore agree less, which is what the demo is there to find.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.demo.examples import Examples, class_iou, count_agreement, draw_examples
from fleetsift.demo.export import Weights, write_ensemble
from fleetsift.demo.network import CONVOLUTIONS, MEAN, NATIVE_STRIDE, STD, Answer, Convolution, answer
from fleetsift.demo.world import CLASSES, Event, Theme, TimeOfDay, Weather
from fleetsift.engines.open import open_engine
from fleetsift.errors import EnsembleError, MissingExtra
from fleetsift.schemas.frames import FrameBatch

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise MissingExtra("demo training", "torch", "torch") from error

TRAINING_SEED, VALIDATION_SEED = 20_000, 30_000  # no drive of the demo's fleet is among them

DAY = Theme(TimeOfDay.DAY, Weather.CLEAR)
NIGHT = Theme(TimeOfDay.NIGHT, Weather.CLEAR)
RAIN = Theme(TimeOfDay.DAY, Weather.RAIN)
BICYCLES = Theme(TimeOfDay.DAY, Weather.CLEAR, Event.BICYCLES)

# What a fleet that mostly drives by day has labels for.
TRAINING_MIX = {
    DAY: 0.50,
    Theme(TimeOfDay.DAY, Weather.OVERCAST): 0.22,
    Theme(TimeOfDay.DAY, Weather.CLEAR, Event.RED_LIGHT): 0.08,
    Theme(TimeOfDay.DAY, Weather.OVERCAST, Event.CROWD): 0.04,
    Theme(TimeOfDay.DUSK, Weather.CLEAR): 0.06,
    NIGHT: 0.03,
    RAIN: 0.03,
    BICYCLES: 0.04,
}
CONDITIONS = {
    "day": DAY,
    "dusk": Theme(TimeOfDay.DUSK, Weather.CLEAR),
    "night": NIGHT,
    "rain": RAIN,
    "bicycles": BICYCLES,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to learn; the defaults made the bundled ensemble."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)  # one a member: its weights, its bootstrap, its order
    frames: int = 1200
    validation_frames: int = 48  # of each condition
    steps: int = 1200
    batch: int = 8
    learning_rate: float = 6e-3


class Layer(nn.Module):
    """One convolution, followed by normalisation and ReLU if it is an activated one."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        sizes = (convolution.inputs, convolution.outputs, convolution.size)
        self.plain = nn.Conv2d(
            *sizes, stride=convolution.stride, padding=convolution.padding, dilation=convolution.dilation
        )
        self.norm = nn.BatchNorm2d(convolution.outputs) if convolution.activated else None

    def forward(self, planes: Tensor) -> Tensor:
        planes = self.plain(planes)
        return planes if self.norm is None else functional.relu(self.norm(planes))

    @torch.no_grad()
    def fold(self) -> Weights:
        """What serving needs: the normalisation becomes part of the convolution's weights."""
        kernel: Tensor = self.plain.weight
        bias: Tensor = self.plain.get_parameter("bias")
        if self.norm is not None:
            mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
            gain = self.norm.weight / torch.sqrt(variance + self.norm.eps)
            kernel, bias = kernel * gain[:, None, None, None], (bias - mean) * gain + self.norm.bias
        return Weights(kernel.contiguous().numpy().copy(), bias.numpy().copy())


class Network(nn.Module):
    """The network in torch; also the backend that computes it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: Layer(convolution) for name, convolution in CONVOLUTIONS.items()})
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Answer[Tensor]:
        """images: float32 RGB 0..1, (N, 3, height, width)."""
        return answer(self, images)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - self.get_buffer("mean")) / self.get_buffer("std")

    def convolve(self, planes: Tensor, name: str) -> Tensor:
        convolved: Tensor = self.layers[name](planes)
        return convolved

    def enlarge(self, planes: Tensor, factor: int) -> Tensor:
        return functional.interpolate(planes, scale_factor=factor, mode="bilinear", align_corners=False)

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other

    def pool(self, planes: Tensor) -> Tensor:
        return planes.mean(dim=(2, 3))


def fold(network: Network) -> dict[str, Weights]:
    """The weights of every layer, by name."""
    return {name: layer.fold() for name, layer in network.layers.items() if isinstance(layer, Layer)}


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


@torch.no_grad()
def member_iou(network: Network, examples: Examples) -> NDArray[np.float64]:
    """Intersection over union by class at full size, (C,)."""
    agreement = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    for image, labels in zip(examples.images, examples.labels, strict=True):
        predicted = network(as_input(image)).logits.argmax(dim=1)[0].numpy()
        agreement += count_agreement(predicted, labels)
    return class_iou(agreement)


def as_input(image: NDArray[np.uint8]) -> Tensor:
    """One frame (height, width, 3) as the network takes it, (1, 3, height, width), 0..1."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def measure_information(ensemble: Path, conditions: Mapping[str, Examples]) -> dict[str, dict[str, float]]:
    """What the engine that serves says of each condition: means over its frames, nats."""
    bicycle = CLASSES.index("bicycle")
    means = {}
    with closing(open_engine(ensemble, threads=1)) as engine:
        for name, examples in conditions.items():
            scores = engine.score(FrameBatch(examples.images, (None,) * len(examples)))
            quantities = {
                "mutual_information.mean": scores.mutual_information.mean,
                "mutual_information.top": scores.mutual_information.top,
                "mutual_information.by_class.bicycle": scores.by_class.mutual_information[:, bicycle],
                "entropy.mean": scores.entropy.mean,
            }
            means[name] = {quantity: round(float(values.mean()), 6) for quantity, values in quantities.items()}
    return means


@torch.no_grad()
def verify_export(ensemble: Path, networks: Sequence[Network], image: NDArray[np.uint8]) -> float:
    """The largest difference, in nats, between the entropy that the engine finds and torch's at any position.

    Raises EnsembleError where it exceeds 1e-4: then the files are not the networks that were trained.
    """
    probs_mchw = torch.stack([network(as_input(image)).native[0].softmax(dim=0) for network in networks])
    probs_chw = probs_mchw.mean(dim=0)
    entropy_hw = -(probs_chw * probs_chw.clamp_min(1e-30).log()).sum(dim=0).numpy()
    with closing(open_engine(ensemble, threads=1)) as engine:
        difference = float(np.abs(engine.maps(image).entropy - entropy_hw).max())
    if difference > 1e-4:
        raise EnsembleError(
            f"{ensemble}: expected torch's entropy within 1e-4 nats, got {difference:.2e}; check export"
        )
    return difference


@dataclass(frozen=True, slots=True)
class Record:
    """What training.json keeps."""

    plan: Plan
    made_on: str
    torch_version: str
    seconds: float
    members: list[dict[str, Any]]
    information: dict[str, dict[str, float]]
    export_difference_nats: float
    classes: tuple[str, ...] = field(default=CLASSES)


def train_ensemble(plan: Plan, folder: Path, say: Callable[[str], None] = print) -> Record:
    """Draw the examples, train every member, write the ensemble and its record into a folder; `say` hears of each."""
    began = time.monotonic()
    torch.set_num_threads(1)
    examples = draw_examples(TRAINING_MIX, plan.frames, TRAINING_SEED)
    conditions = {
        name: draw_examples({theme: 1.0}, plan.validation_frames, VALIDATION_SEED + index)
        for index, (name, theme) in enumerate(CONDITIONS.items())
    }
    networks, members = [], []
    for seed in plan.seeds:
        begin = time.monotonic()
        network = train_member(plan, seed, examples)
        iou = {name: member_iou(network, drawn) for name, drawn in conditions.items()}
        members.append({"seed": seed, "seconds": round(time.monotonic() - begin, 1), "iou": _by_class(iou)})
        networks.append(network)
        say(f"member {seed}: mIoU " + ", ".join(f"{name} {np.nanmean(of):.3f}" for name, of in iou.items()))
    ensemble = write_ensemble(folder, [fold(network) for network in networks])
    record = Record(
        plan=plan,
        made_on=datetime.now(UTC).date().isoformat(),
        torch_version=torch.__version__,
        seconds=round(time.monotonic() - began, 1),
        members=members,
        information=measure_information(ensemble, conditions),
        export_difference_nats=verify_export(ensemble, networks, conditions["day"].images[0]),
    )
    (folder / "training.json").write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    return record


def _by_class(iou: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, float | None]]:
    """IoU by condition and class, and their mean; a class that neither occurs nor is predicted has none."""
    named = {name: [("mean", np.nanmean(values)), *zip(CLASSES, values, strict=True)] for name, values in iou.items()}
    return {
        name: {what: None if np.isnan(value) else round(float(value), 4) for what, value in values}
        for name, values in named.items()
    }


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m fleetsift.demo.training", description="Train the demo's ensemble.")
    parser.add_argument("--out", type=Path, default=demo_ensemble().parent, help="where to write (%(default)s)")
    parser.add_argument("--steps", type=int, default=Plan().steps, help="optimiser steps a member (%(default)s)")
    options = parser.parse_args()
    record = train_ensemble(Plan(steps=options.steps), options.out)
    print(json.dumps(record.information, indent=1))


if __name__ == "__main__":
    main()
