"""What a detector's positions say of objects, as nodes of a graph: `formulas.boxes` up to where boxes are compared.

Which boxes give way to surer ones is decided one after the other, which is no work for a graph: the host does it, on a
handful of numbers for each position instead of a probability of each class.
"""

from __future__ import annotations

import math

import numpy as np

from fleetsift.engines.graphs.arithmetic import Value, concatenate, where
from fleetsift.engines.graphs.formulas import CLASSES, first_class

FACTS = 9  # box terms, the logit of the most probable class, which class that is, and the three doubts about it

_SMALLEST = 1e-36  # stands for a probability of zero: p log p is zero to any precision


def write_box_facts(terms: Value, logits: Value, classes: int) -> Value:
    """Box terms (N, 4, h, w) and behind them `formulas.boxes.class_facts` of logits (N, C, h, w): (N, 9, h, w).

    Instead of the P of the most probable class its logit: of sure boxes float32 would forget which is the surer.
    """
    e = (-logits.absolute()).exp()
    p = where(logits >= 0.0, 1.0, e) / (e + 1.0)
    numbers = logits.sheet.constant(np.arange(classes).reshape(1, -1, 1, 1))
    highest = logits.largest(CLASSES)
    first, total = p.largest(CLASSES), p.sum(CLASSES).clip(_SMALLEST, math.inf)
    which = first_class(numbers, logits >= highest)
    second = where(numbers.equals(which), 0.0, p).largest(CLASSES)
    share = p / total
    entropy = -(share * share.clip(_SMALLEST, 1.0).log()).sum(CLASSES) / math.log(classes)
    least_confidence = (1.0 - first / total) / (1 - 1 / classes)
    margin = 1.0 - (first - second) / total
    return concatenate([terms, highest, which, least_confidence, margin, entropy], CLASSES)
