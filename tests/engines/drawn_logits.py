"""Logits that put formulas to the test."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fleetsift.schemas.scores import F32

examples = settings(deadline=None, max_examples=80, derandomize=True)

shapes = st.tuples(st.integers(1, 6), st.integers(2, 7), st.integers(1, 6), st.integers(1, 8))  # (M, C, h, w)

# In steps of 1/64, so that what is a tie in float32 is one in float64 too.
logits = st.one_of(
    hnp.arrays(np.float32, shapes, elements=st.integers(-640, 640).map(lambda steps: steps / 64)),
    hnp.arrays(np.float32, shapes, elements=st.sampled_from([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4])),
)


def random_logits(members: int, classes: int, height: int, width: int, spread: float = 3.0, seed: int = 0) -> F32:
    """Normally distributed logits (M, C, h, w)."""
    values = np.random.default_rng(seed).normal(scale=spread, size=(members, classes, height, width))
    return values.astype(np.float32)
