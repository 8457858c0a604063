"""Every member of an ensemble by itself, in a session of its own: the logits that the float64 reference stands on.

Its graph is what `fuse` writes for that member and nothing of the others, so whatever a member is, its frames are
prepared and its answer is aligned as in the engine; how engines run them together and reduce them has no part in it.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from fleetsift.engines.ensemble import Ensemble
from fleetsift.engines.graph import EMBEDDING, FRAMES, fuse
from fleetsift.engines.nodes import needed_nodes, reads
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.sessions import errors_as, open_session
from fleetsift.engines.uncertainty import score_frame
from fleetsift.schemas.status import Problem


class SeparateMembers:
    """An ensemble's members, each ready to be run by itself on the CPU in float32."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Open a session for each; raises MissingExtra without ONNX Runtime, EnsembleError where one does not load."""
        self._ensemble = ensemble
        fused, source = fuse(ensemble), str(ensemble.path)
        self._sessions = {output.name: open_session(_only(fused, output), source) for output in fused.graph.output}

    def score(self, frame: NDArray[np.uint8]) -> FrameRow | Problem:
        """The true row of a frame (H, W, 3) at the ensemble's frame size: the formulas in float64.

        It needs some ten times the memory of the members' logits.
        """
        spec = self._ensemble.spec
        with errors_as(f"{self._ensemble.path}: expected members that run by themselves"):
            answers = {name: session.run(None, {FRAMES: frame[None]})[0][0] for name, session in self._sessions.items()}
        embedding = answers.pop(EMBEDDING, None)
        return score_frame(np.stack([*answers.values()]), spec.grid, spec.top_share, embedding, spec.task)


def _only(fused: onnx.ModelProto, output: onnx.ValueInfoProto) -> onnx.ModelProto:
    """The part of a graph that one of its outputs needs."""
    nodes = needed_nodes(fused.graph, [output.name])
    used = {value for node in nodes for value in reads(node)}
    weights = [weight for weight in fused.graph.initializer if weight.name in used]
    graph = onnx.helper.make_graph(nodes, output.name, fused.graph.input, [output], weights)
    return onnx.helper.make_model(graph, opset_imports=fused.opset_import, ir_version=fused.ir_version)
