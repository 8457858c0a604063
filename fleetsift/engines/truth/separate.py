"""Every member of an ensemble by itself, in a session of its own: the logits that the float64 reference stands on.

Its graph is what `fuse` writes for that member and nothing of the others, so whatever a member is, its frames are
prepared and its answer is aligned as in the engine; how engines run them together and reduce them has no part in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.formulas.boxes import class_facts, find_boxes, object_scores
from fleetsift.engines.formulas.independent import probabilities
from fleetsift.engines.formulas.uncertainty import log_softmax, mutual_information, score_frame
from fleetsift.engines.graphs.fuse import BOX_TERMS, EMBEDDING, FRAMES, fuse, fused_logits
from fleetsift.engines.graphs.parts import part_of
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.runtimes.sessions import errors_as, open_session
from fleetsift.schemas.ensemble import Answer, EnsembleSpec
from fleetsift.schemas.status import Problem


class SeparateMembers:
    """An ensemble's members, each ready to be run by itself on the CPU in float32."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Open a session for each; raises MissingExtra without ONNX Runtime, EnsembleError where one does not load."""
        self._ensemble = ensemble
        fused, source = fuse(ensemble), str(ensemble.path)
        outputs = [output.name for output in fused.graph.output]
        names = [fused_logits(a) for a in range(len(ensemble.spec.answers))]
        self._logits = [open_session(part_of(fused, [name]), source) for name in names]
        self._embedding, self._box_terms = (
            [open_session(part_of(fused, [name]), source) for name in outputs if name == wanted]
            for wanted in (EMBEDDING, BOX_TERMS)
        )

    def score(self, frame: NDArray[np.uint8]) -> FrameRow | Problem:
        """The true row of a frame (H, W, 3) at the ensemble's frame size: the formulas in float64."""
        spec = self._ensemble.spec
        with errors_as(f"{self._ensemble.path}: expected members that run by themselves"):
            logits_achw, embedding, box_terms = (
                [session.run(None, {FRAMES: frame[None]})[0][0] for session in sessions]
                for sessions in (self._logits, self._embedding, self._box_terms)
            )
        answers = np.stack(logits_achw)
        row = score_frame(answers, spec.grid, spec.top_share, embedding[0] if embedding else None, spec.task)
        if isinstance(row, Problem):
            return row
        equal = _equal(answers) if spec.compares_views else None
        return replace(row, equal=equal, objects=_objects(spec, answers, box_terms[0]) if box_terms else None)


def _objects(
    spec: EnsembleSpec, logits_achw: NDArray[np.float32], terms_4hw: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """What the boxes of the detector that has them say, in float64."""
    boxes = spec.boxes
    if boxes is UNSET:
        return None
    p, _ = probabilities(logits_achw[spec.answers.index(Answer(boxes.member, 0, "identity"))])
    return object_scores(find_boxes(terms_4hw, class_facts(p), boxes, spec.input_of(spec.members[boxes.member])))


def _equal(logits_achw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Both distances of EquAL in the order of EQUAL_DISTANCES, in float64; each view is beside its mirror image's.

    The Jensen-Shannon divergence of two softmaxes is the mutual information of the two as an ensemble.
    """
    pairs = [log_softmax(logits_achw[a : a + 2]) for a in range(0, len(logits_achw), 2)]
    divergence = [mutual_information(pair).mean() for pair in pairs]
    disagreement = [(pair[0].argmax(axis=0) != pair[1].argmax(axis=0)).mean() for pair in pairs]
    return np.array([np.mean(divergence), np.mean(disagreement)])
