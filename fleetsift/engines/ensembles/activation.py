"""A network's own activation at its end: recognised, so that it is neither computed for nothing nor taken twice."""

from __future__ import annotations

import onnx

_PASSES_ON = frozenset({"Identity", "Dropout"})  # a checked network has no active dropout
_SINCE = 13  # the opset from which a Softmax is along one axis; before, over that axis and all behind it


def before_activation(network: onnx.ModelProto, tensor: str, operator: str) -> str | None:
    """The name of what a `Softmax` over the classes, or a `Sigmoid`, makes a tensor of; None where neither does."""
    writers = {name: node for node in network.graph.node for name in node.output}
    node = writers.get(tensor)
    while node is not None and node.op_type in _PASSES_ON:
        node = writers.get(node.input[0])
    if node is None or node.op_type != operator:
        return None
    return node.input[0] if operator == "Sigmoid" or _is_over_classes(network, node) else None


def _is_over_classes(network: onnx.ModelProto, softmax: onnx.NodeProto) -> bool:
    """Whether a Softmax is along axis 1 of (N, C) or of (N, C, h, w), and no other."""
    opset = max((o.version for o in network.opset_import if o.domain in {"", "ai.onnx"}), default=1)
    axis = next((a.i for a in softmax.attribute if a.name == "axis"), -1 if opset >= _SINCE else 1)
    rank = _rank(network, softmax.input[0])
    if opset < _SINCE:
        return rank == 2 and axis in {1, -1}
    return axis == 1 or (rank is not None and axis == 1 - rank)


def _rank(network: onnx.ModelProto, name: str) -> int | None:
    inferred = onnx.shape_inference.infer_shapes(network).graph
    for value in [*inferred.value_info, *inferred.output, *inferred.input]:
        if value.name == name and value.type.tensor_type.HasField("shape"):
            return len(value.type.tensor_type.shape.dim)
    return None
