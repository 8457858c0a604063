"""The logits of a network before it enlarges them: recognised where the ensemble file has no name for them."""

from __future__ import annotations

from typing import TypeAlias

import onnx

_ENLARGES = frozenset({"Resize", "Upsample"})
_PASSES_ON = frozenset({"Identity", "Dropout"})  # a checked network has no active dropout

Shape: TypeAlias = tuple[int | None, ...]


def native_logits(network: onnx.ModelProto, logits: str) -> str | None:
    """The name of the tensor that the last nodes before `logits` enlarge; None where they do nothing of the kind.

    Only a `Resize` or `Upsample` at the very end is taken for it, or several in a row. What is cropped, activated or
    convolved afterwards is more than enlarged, and so is the answer of a transposed convolution, which has weights.
    """
    writers = {name: node for node in network.graph.node for name in node.output}
    sizes = _sizes(network)
    name, enlarged = logits, False
    while name in writers:
        node = writers[name]
        if node.op_type in _ENLARGES and _grows(sizes.get(node.input[0]), sizes.get(node.output[0])):
            enlarged = True
        elif node.op_type not in _PASSES_ON:
            break
        name = node.input[0]
    return name if enlarged else None


def _grows(small: Shape | None, large: Shape | None) -> bool:
    """Whether a tensor (N, C, h, w) gets more rows or columns and nothing else; believed where sizes are not known."""
    if small is None or large is None:
        return True
    if len(small) != 4 or len(large) != 4:
        return False
    known = [(a, b) for a, b in zip(small, large, strict=True) if a is not None and b is not None]
    channels = small[1] is None or large[1] is None or small[1] == large[1]
    return channels and all(a <= b for a, b in known) and (small[2:] != large[2:] or None in small[2:])


def _sizes(network: onnx.ModelProto) -> dict[str, Shape | None]:
    inferred = onnx.shape_inference.infer_shapes(network, data_prop=True).graph
    return {value.name: _shape(value) for value in [*inferred.input, *inferred.value_info, *inferred.output]}


def _shape(value: onnx.ValueInfoProto) -> Shape | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)
