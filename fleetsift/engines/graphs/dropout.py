"""Consistent Monte Carlo dropout: what to drop is drawn once for each pass, and is the same for every frame.

Every active `Dropout` becomes a product with a constant mask (Kirsch et al. 2019, BatchBALD), so a frame's row depends
on nothing but the frame, a run can be resumed, and no runtime can take the dropout for something to leave out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from fleetsift.engines.graphs.pieces import Piece
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import Answer
from fleetsift.schemas.scores import F32

_DEFAULT_RATIO = 0.5  # of the operator


class Dropout(NamedTuple):
    """One place where a network drops values."""

    output: str  # the value's name once it is dropped
    shape: tuple[int, ...]  # of one frame's, (1, ...)
    ratio: float  # of the values are dropped, in [0, 1)


def find_dropouts(graph: onnx.GraphProto, shapes: Mapping[str, tuple[int, ...]], where: str) -> list[Dropout]:
    """Every `Dropout` of a graph, in its order, whether it is active or not.

    shapes: of the graph's values, as far as they are known. Raises EnsembleError, beginning with `where`, for a size
    or ratio that only running would tell.
    """
    constants = {weight.name: weight for weight in graph.initializer}
    dropouts = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
        if node.op_type == "Dropout":
            output, ratio = node.output[0], _ratio(node, constants)
            if output not in shapes or not 0 <= ratio < 1:
                raise EnsembleError(
                    f"{where} {output}: expected a Dropout of a known size and a constant ratio below 1, "
                    f"got size {shapes.get(output, 'unknown')} and ratio {ratio:g}; export it with them"
                )
            dropouts.append(Dropout(output, shapes[output], ratio))
    return dropouts


def add_masks(piece: Piece, answer: Answer, dropouts: Sequence[Dropout], seed: int) -> dict[str, str]:
    """Draw the masks of an answer's pass, unless another view of it has them; their names by the outputs they mask."""
    there = {weight.name for weight in piece.weights}
    masks = {}
    for d, dropout in enumerate(dropouts):
        name = masks[dropout.output] = f"member_{answer.member}/mask_{d}_of_pass_{answer.dropout_pass}"
        if name not in there:
            key = (seed, answer.member, answer.dropout_pass, d)
            piece.constant(name, dropout_mask(dropout.shape, dropout.ratio, key))
    return masks


def mask_dropouts(graph: onnx.GraphProto, masks: Mapping[str, str]) -> None:
    """Turn every `Dropout` into a product with the mask of its output, in place."""
    for node in graph.node:
        if node.op_type == "Dropout":
            value, dropped = node.input[0], node.output[0]
            node.CopyFrom(onnx.helper.make_node("Mul", [value, masks[dropped]], [dropped], name=node.name))


def dropout_mask(shape: tuple[int, ...], ratio: float, key: tuple[int, ...]) -> F32:
    """Draw what each value of a tensor is multiplied by: 0 with the probability `ratio`, else 1 / (1 - ratio).

    The same for the same key on every machine: only the generator's raw bits are used, which NumPy keeps as they are.
    """
    bits = np.random.PCG64(np.random.SeedSequence(key)).random_raw(math.prod(shape))
    kept = bits >= np.uint64(ratio * 2.0**64)
    mask: F32 = (kept / (1 - ratio)).astype(np.float32).reshape(shape)
    return mask


def _ratio(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> float:
    """NaN where it is computed."""
    for attribute in node.attribute:  # before opset 12
        if attribute.name == "ratio":
            return float(attribute.f)
    if len(node.input) < 2 or not node.input[1]:
        return _DEFAULT_RATIO
    constant = constants.get(node.input[1])
    return math.nan if constant is None else float(numpy_helper.to_array(constant))
