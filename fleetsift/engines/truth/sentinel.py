"""The precision sentinel: an engine proves on canary frames that its scores are true, before anybody trusts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.truth.canary import canary_frames
from fleetsift.engines.truth.parity import BOUND, Bound, Parity, measure_parity
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, has_independent_classes
from fleetsift.schemas.status import Problem

NOTHING_NATS = 1e-6  # a mutual information that rounding can make, of each question that a position is asked


def sentinel(engine: Engine, ensemble: Ensemble, frames: int = 2, bound: Bound = BOUND) -> Parity:
    """Let an engine be, or refuse it: no numbers, a score beyond the bound, or members that never disagree.

    It opens every network once more and scores a few canary frames: about a second for five small networks.
    Raises EnsembleError in one line that names what is broken.
    """
    pixels = canary_frames(frames, engine.frame_size)
    parity = measure_parity(engine, ensemble, pixels, bound)
    scores = engine.score(FrameBatch(pixels, (None,) * frames))
    verdicts = (
        broken_numbers(scores.problems),
        broken_parity(parity),
        broken_disagreement(ensemble.spec, scores.mutual_information.max),
    )
    for broken in verdicts:
        if broken:
            raise EnsembleError(f"{ensemble.path}: {broken}")
    return parity


def broken_numbers(problems: Sequence[Problem | None]) -> str | None:
    """What to say where a network answers no frame with numbers."""
    if not all(problems):
        return None
    reasons = {problem.reason for problem in problems if problem}
    return f"finite: expected numbers, got none on all {len(problems)} frames ({min(reasons)}); mend the networks"


def broken_parity(parity: Parity) -> str | None:
    """What to say where a score is not true."""
    if parity.holds:
        return None
    name, off = parity.worst
    return (
        f"parity: expected every score within {parity.bound.most:g} of the float64 reference, got {name} {off:.2g} off "
        f"on {parity.frames} frames; choose another precision or provider"
    )


def broken_disagreement(spec: EnsembleSpec, highest_information: F32) -> str | None:
    """What to say where several members never disagree: their mutual information is 0 at every position of every frame.

    highest_information: (N,) nats; of independent classes it is a sum, and so is its rounding. One member alone has
    nobody to disagree with, and is let be.
    """
    numbers = highest_information[np.isfinite(highest_information)]
    questions = len(spec.classes) if has_independent_classes(spec.task) else 1
    if len(spec.answers) == 1 or not numbers.size or numbers.max() > NOTHING_NATS * questions:
        return None
    return (
        f"mutual_information: expected members that disagree somewhere, got 0 on all {len(numbers)} "
        "frames; give members of their own training, and dropout that the runtime keeps"
    )
