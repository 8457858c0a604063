"""From a detector's tensor to the boxes of one frame, and from the boxes to object scores, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsift.schemas.boxes import BoxSpec
from fleetsift.schemas.members import InputSpec
from fleetsift.schemas.scores import OBJECT_QUANTITIES

F64 = NDArray[np.float64]

_ONE_MORE = 0.25  # what each further object of a class adds to the object frequency


@dataclass(frozen=True, slots=True)
class Boxes:
    """K objects in one frame, the surest first."""

    corners: F64  # (K, 4) left, top, right, bottom as shares of the frame; they may lie outside
    facts: F64  # (K, 5) as `class_facts` has them, of the position that a box comes from

    @property
    def scores(self) -> F64:
        """P of the most probable class, (K,)."""
        return self.facts[:, 0]

    @property
    def classes(self) -> NDArray[np.intp]:
        """The most probable class, of equals the first, (K,)."""
        most_probable: NDArray[np.intp] = self.facts[:, 1].astype(np.intp)
        return most_probable

    def __len__(self) -> int:
        return len(self.corners)


def class_facts(p_c: NDArray[np.floating]) -> F64:
    """What is said of the class of each position (C, ...), from P(class): (5, ...).

    P of the most probable class, which one it is, and three doubts about it: least confidence, margin and entropy
    (Lightly's, SCORES.md). For those the P are divided by their sum: what an object is if it is one of the classes.
    Probabilities of classes given an object come out as they were; none is softmaxed.
    """
    p = p_c.astype(np.float64)
    total = p.sum(axis=0)
    share = np.divide(p, total, where=total > 0, out=np.zeros_like(p))
    log_share = np.log(share, where=share > 0, out=np.zeros_like(p))  # 0 log 0 = 0
    classes = len(p)
    second, first = np.partition(share, classes - 2, axis=0)[-2:]
    least_confidence = (1 - first) / (1 - 1 / classes)
    entropy = -(share * log_share).sum(axis=0) / np.log(classes)
    return np.stack([p.max(axis=0), p.argmax(axis=0), least_confidence, 1 - (first - second), entropy])


def find_boxes(
    terms_4hw: NDArray[np.floating], facts_5hw: NDArray[np.floating], spec: BoxSpec, kind: InputSpec
) -> Boxes:
    """The boxes of one frame: those surer than the threshold, without those that overlap a surer one of their class.

    terms_4hw: the four box terms of every cell, in the order x, y, width, height; facts_5hw: its `class_facts`.
    """
    corners_4p = _corners(terms_4hw.astype(np.float64), spec, kind).reshape(4, -1)
    facts_5p = facts_5hw.astype(np.float64).reshape(5, -1)
    scores = facts_5p[0]
    order = np.argsort(-scores, kind="stable")  # of equals the first, rows first
    order = order[scores[order] > spec.threshold]
    boxes = Boxes(corners_4p.T[order], facts_5p.T[order])
    kept = _surest(boxes, spec.overlap)
    return Boxes(boxes.corners[kept], boxes.facts[kept])


def object_scores(boxes: Boxes) -> F64:
    """What a detector's boxes say of a frame, in the order of OBJECT_QUANTITIES; all 0 without boxes.

    Lightly's scorers (SCORES.md): the frequency is the sum over the classes present of 1 + 0.25 (n - 1) for n boxes
    of the class, left unscaled; the uncertainties are of what class a box is, the largest of any box.
    """
    if not len(boxes):
        return np.zeros(len(OBJECT_QUANTITIES))
    _, counts = np.unique(boxes.classes, return_counts=True)
    least_confidence, margin, entropy = boxes.facts[:, 2:].max(axis=0)
    found = {
        "count": len(boxes),
        "object_frequency": (1 + _ONE_MORE * (counts - 1)).sum(),
        "objectness_least_confidence": 1 - boxes.scores.mean(),
        "uncertainty_least_confidence": least_confidence,
        "uncertainty_margin": margin,
        "uncertainty_entropy": entropy,
    }
    return np.array([found[quantity] for quantity in OBJECT_QUANTITIES], np.float64)


def overlap(corners: F64, others: F64) -> F64:
    """Intersection over union of one box (4,) with others (K, 4), in [0, 1], (K,)."""
    sides = np.minimum(corners[2:], others[:, 2:]) - np.maximum(corners[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = (corners[2:] - corners[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    share: F64 = np.divide(shared, union, where=union > 0, out=np.zeros_like(shared))
    return share


def _surest(boxes: Boxes, most: float) -> list[int]:
    """Non-maximum suppression within each class: the boxes that overlap no surer one of theirs by more than `most`."""
    classes = boxes.classes
    kept: list[int] = []
    for k in range(len(boxes)):
        rivals = [other for other in kept if classes[other] == classes[k]]
        if not (overlap(boxes.corners[k], boxes.corners[rivals]) > most).any():
            kept.append(k)
    return kept


def _corners(terms_4hw: F64, spec: BoxSpec, kind: InputSpec) -> F64:
    """Left, top, right, bottom of every cell's box, (4, h, w), as shares of the frame."""
    x, y, width, height = terms_4hw
    rows, columns = np.indices(x.shape)
    if spec.decoding == "fastestdet":  # dog-qiuqiu/FastestDet, utils/tool.py, `handle_preds`
        centre_x, centre_y = np.tanh(x) + columns, np.tanh(y) + rows
        width, height = _sigmoid(width), _sigmoid(height)
    else:  # YOLOv3 (Redmon & Farhadi 2018), section 2.1
        centre_x, centre_y = _sigmoid(x) + columns, _sigmoid(y) + rows
        with np.errstate(over="ignore"):  # a width beyond all numbers is infinite, and the box is everywhere
            width, height = np.exp(width) * spec.anchor[0] / kind.width, np.exp(height) * spec.anchor[1] / kind.height
    centre_x, centre_y = centre_x / x.shape[1], centre_y / x.shape[0]
    return np.stack([centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2])


def _sigmoid(t: F64) -> F64:
    e = np.exp(-np.abs(t))
    p: F64 = np.where(t >= 0, 1, e) / (1 + e)
    return p
