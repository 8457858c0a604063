"""What was learnt: each member beside the truth, the ensemble by the engine that serves, and the files beside torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fleetsift.demo.examples import Examples, class_iou, count_agreement
from fleetsift.demo.training.module import Network, as_input
from fleetsift.demo.world import CLASSES
from fleetsift.engines.open import open_engine
from fleetsift.errors import EnsembleError
from fleetsift.schemas.frames import FrameBatch


@torch.no_grad()
def member_iou(network: Network, examples: Examples) -> NDArray[np.float64]:
    """Intersection over union by class at full size, (C,)."""
    agreement = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    for image, labels in zip(examples.images, examples.labels, strict=True):
        predicted = network(as_input(image)).logits.argmax(dim=1)[0].numpy()
        agreement += count_agreement(predicted, labels)
    return class_iou(agreement)


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
