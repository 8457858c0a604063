"""Every member of an ensemble by itself, in a session of its own: the logits that the float64 reference stands on.

Its graph is what `fuse` writes for that member and nothing of the others, so whatever a member is, its frames are
prepared and its answer is aligned as in the engine; how engines run them together and reduce them has no part in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.ensembles.nodes import needed_nodes, reads
from fleetsift.engines.formulas.uncertainty import log_softmax, mutual_information, score_frame
from fleetsift.engines.graphs.fuse import EMBEDDING, FRAMES, fuse, fused_logits
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.runtimes.sessions import errors_as, open_session
from fleetsift.schemas.status import Problem


class SeparateMembers:
    """An ensemble's members, each ready to be run by itself on the CPU in float32."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Open a session for each; raises MissingExtra without ONNX Runtime, EnsembleError where one does not load."""
        self._ensemble = ensemble
        fused, source = fuse(ensemble), str(ensemble.path)
        outputs = {output.name: output for output in fused.graph.output}
        names = [fused_logits(a) for a in range(len(ensemble.spec.answers))]
        self._logits = [open_session(_only(fused, outputs[name]), source) for name in names]
        self._embedding = [open_session(_only(fused, outputs[name]), source) for name in outputs if name == EMBEDDING]

    def score(self, frame: NDArray[np.uint8]) -> FrameRow | Problem:
        """The true row of a frame (H, W, 3) at the ensemble's frame size: the formulas in float64.

        Without the scores of boxes. It needs some ten times the memory of the members' logits.
        """
        spec = self._ensemble.spec
        with errors_as(f"{self._ensemble.path}: expected members that run by themselves"):
            logits_achw, embedding = (
                [session.run(None, {FRAMES: frame[None]})[0][0] for session in sessions]
                for sessions in (self._logits, self._embedding)
            )
        answers = np.stack(logits_achw)
        row = score_frame(answers, spec.grid, spec.top_share, embedding[0] if embedding else None, spec.task)
        return replace(row, equal=_equal(answers)) if isinstance(row, FrameRow) and spec.compares_views else row


def _equal(logits_achw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Both distances of EquAL in the order of EQUAL_DISTANCES, in float64; each view is beside its mirror image's.

    The Jensen-Shannon divergence of two softmaxes is the mutual information of the two as an ensemble.
    """
    pairs = [log_softmax(logits_achw[a : a + 2]) for a in range(0, len(logits_achw), 2)]
    divergence = [mutual_information(pair).mean() for pair in pairs]
    disagreement = [(pair[0].argmax(axis=0) != pair[1].argmax(axis=0)).mean() for pair in pairs]
    return np.array([np.mean(divergence), np.mean(disagreement)])


def _only(fused: onnx.ModelProto, output: onnx.ValueInfoProto) -> onnx.ModelProto:
    """The part of a graph that one of its outputs needs."""
    nodes = needed_nodes(fused.graph, [output.name])
    used = {value for node in nodes for value in reads(node)}
    weights = [weight for weight in fused.graph.initializer if weight.name in used]
    graph = onnx.helper.make_graph(nodes, output.name, fused.graph.input, [output], weights)
    return onnx.helper.make_model(graph, opset_imports=fused.opset_import, ir_version=fused.ir_version)
