"""How far scores may lie from the reference, and how the difference is told."""

from __future__ import annotations

import numpy as np

from fleetsift.engines.rows import CLASS_QUANTITIES, STATISTICS
from fleetsift.schemas.scores import EQUAL_DISTANCES, F32, OBJECT_QUANTITIES, QUANTITIES, REGION_QUANTITIES, FrameScores

TOLERANCE = 1e-5  # relative, or absolute where the reference is below one


def numbers(scores: FrameScores) -> dict[str, F32]:
    """Every number of a batch by the name of its column, (N,) or (N, something)."""
    quantities = [q for q in QUANTITIES if getattr(scores, q)]
    named = {f"{q}.{s}": getattr(getattr(scores, q), s) for q in quantities for s in STATISTICS}
    class_quantities = [q for q in CLASS_QUANTITIES if getattr(scores.by_class, q) is not None]
    named |= {f"by_class.{q}": getattr(scores.by_class, q) for q in class_quantities}
    if scores.regions:
        named |= {f"regions.{q}": getattr(scores.regions, q) for q in REGION_QUANTITIES}
    if scores.objects:
        named |= {f"objects.{q}": getattr(scores.objects, q) for q in OBJECT_QUANTITIES}
    if scores.equal:
        named |= {f"equal.{d}": getattr(scores.equal, d) for d in EQUAL_DISTANCES}
    return named | {"embedding": scores.embedding}


def assert_close(scores: FrameScores, reference: FrameScores, tolerance: float = TOLERANCE) -> None:
    """Same problems, and every number within the tolerance."""
    assert scores.problems == reference.problems
    found, expected = numbers(scores), numbers(reference)
    assert set(found) == set(expected)
    far = {
        name: float(np.nanmax(np.abs(found[name] - expected[name]) / np.maximum(1, np.abs(expected[name])), initial=0))
        for name in expected
    }
    assert {name: value for name, value in far.items() if value > tolerance} == {}


def assert_identical(scores: FrameScores, others: FrameScores) -> None:
    """The same bits in every number."""
    assert scores.problems == others.problems
    for name, values in numbers(scores).items():
        np.testing.assert_array_equal(values, numbers(others)[name], err_msg=name)
