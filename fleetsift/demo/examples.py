"""Labelled frames for learning and for checking, and how well predictions agree with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsift.demo.drawing.camera import HEIGHT, WIDTH
from fleetsift.demo.drives import plan_drive
from fleetsift.demo.fleet import VEHICLES
from fleetsift.demo.scenes import draw_scene
from fleetsift.demo.world import CLASSES, Theme

DRIVE_S = 20.0
FRAMES_PER_DRIVE = 3  # few, so that learning sees many streets


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """N frames with their truth."""

    images: NDArray[np.uint8]  # (N, height, width, 3) RGB
    labels: NDArray[np.uint8]  # (N, height, width)

    def __len__(self) -> int:
        return len(self.images)


def draw_examples(mix: Mapping[Theme, float], count: int, seed: int) -> Examples:
    """Frames at random moments of many short drives; `mix` is how often each kind of drive comes up."""
    themes, shares = list(mix), np.array(list(mix.values()))
    images = np.empty((count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = np.empty((count, HEIGHT, WIDTH), dtype=np.uint8)
    for begin in range(0, count, FRAMES_PER_DRIVE):
        rng = np.random.default_rng([seed, begin])
        theme = themes[rng.choice(len(themes), p=shares / shares.sum())]
        vehicle = VEHICLES[rng.integers(len(VEHICLES))]
        drive = plan_drive(theme, vehicle.city, DRIVE_S, vehicle.tint, rng)
        for index in range(begin, min(begin + FRAMES_PER_DRIVE, count)):
            picture = draw_scene(drive.scene(rng.uniform(0, DRIVE_S)))
            images[index], labels[index] = picture.image, picture.labels
    return Examples(images, labels)


def count_agreement(predicted: NDArray[np.integer], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of each class (row) were predicted as each class (column), (C, C)."""
    classes = len(CLASSES)
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs.ravel(), minlength=classes * classes).reshape(classes, classes)


def class_iou(agreement: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each class, (C,); NaN where a class neither occurs nor is predicted."""
    hits = np.diag(agreement).astype(np.float64)
    union = agreement.sum(axis=0) + agreement.sum(axis=1) - hits
    iou: NDArray[np.float64] = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    return iou
