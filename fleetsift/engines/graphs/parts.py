"""A fused graph in parts: some of its outputs, and no more than they need."""

from __future__ import annotations

from collections.abc import Collection

import onnx
from msgspec import UNSET

from fleetsift.engines.ensembles.nodes import needed_nodes, reads
from fleetsift.engines.graphs.fuse import EMBEDDING, fused_logits
from fleetsift.schemas.ensemble import Answer, EnsembleSpec
from fleetsift.schemas.scores import has_independent_classes

MOST_AT_ONCE_BYTES = 32 * 2**20  # of logits of a frame; of more, the members answer one after another
_SUMS = 2  # numbers of a class and position that are kept between members


def part_of(fused: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """The part of a graph that some of its outputs need."""
    nodes = needed_nodes(fused.graph, names)
    used = {value for node in nodes for value in reads(node)}
    weights = [weight for weight in fused.graph.initializer if weight.name in used]
    outputs = [output for output in fused.graph.output if output.name in names]
    graph = onnx.helper.make_graph(nodes, fused.graph.name, fused.graph.input, outputs, weights)
    return onnx.helper.make_model(graph, opset_imports=fused.opset_import, ir_version=fused.ir_version)


def outputs_in_turn(
    spec: EnsembleSpec, fused: onnx.ModelProto, most_bytes: float = MOST_AT_ONCE_BYTES
) -> list[list[str]]:
    """Which outputs of the graph of `fuse` to compute together, so that memory does not grow with the members.

    All at once where a frame's logits are small or of a size that is not known; else the views of one pass of a member,
    which are compared with each other, and the embedding beside the first that gives it.
    """
    whole = [output.name for output in fused.graph.output]
    views = 1 if spec.views is UNSET else len(spec.views)
    if spec.boxes is not UNSET or has_independent_classes(spec.task) or len(spec.answers) <= _SUMS + views:
        return [whole]
    inferred = onnx.shape_inference.infer_shapes(fused, data_prop=True).graph
    first = next(output for output in inferred.output if output.name == fused_logits(0))
    height, width = (size.dim_value for size in first.type.tensor_type.shape.dim[2:])
    if 4 * len(spec.answers) * len(spec.classes) * height * width <= most_bytes:
        return [whole]
    turns = [[fused_logits(a + view) for view in range(views)] for a in range(0, len(spec.answers), views)]
    if EMBEDDING in whole:
        plain = Answer(spec.embedding_member, 0, "identity")
        turns[spec.answers.index(plain) // views].append(EMBEDDING)
    return turns
