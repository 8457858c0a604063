"""Resizing written as products with two matrices, for a parser that takes few kinds of `Resize`: TensorRT's takes none
that averages what it shrinks, and none that names its axes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fleetsift.schemas.scores import F32


def resized_by_products(fused: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, where whatever `Piece.resize` wrote is multiplied by what each value counts for."""
    inferred = onnx.shape_inference.infer_shapes(fused, data_prop=True).graph
    values = {value.name: value.type.tensor_type for value in inferred.value_info}
    sizes = {weight.name: weight for weight in fused.graph.initializer if weight.data_type == TensorProto.INT64}
    written = onnx.ModelProto()
    written.CopyFrom(fused)
    nodes = []
    for node in fused.graph.node:
        given = values.get(node.input[0]) if node.op_type == "Resize" else None
        if given is None or given.elem_type != TensorProto.FLOAT or not _names_its_axes(node):
            nodes.append(node)
            continue
        size = zip((d.dim_value for d in given.shape.dim[2:]), numpy_helper.to_array(sizes[node.input[3]]), strict=True)
        by_rows, by_columns = (weights(length, int(resized)) for length, resized in size)
        rows, columns, strips = (f"{node.output[0]}_{what}" for what in ("rows", "columns", "strips"))
        written.graph.initializer.append(numpy_helper.from_array(by_rows, rows))
        written.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(by_columns.T), columns))
        nodes.append(helper.make_node("MatMul", [node.input[0], columns], [strips]))
        nodes.append(helper.make_node("MatMul", [rows, strips], [node.output[0]]))
    del written.graph.node[:]
    written.graph.node.extend(nodes)
    return written


def weights(length: int, resized: int) -> F32:
    """What each of `length` values counts for in each of others, (resized, length), linearly between their centres.

    A triangle stands on the centre of each new value, as wide as two of the old, or two of the new where those are
    fewer: then it averages, as Pillow does. At the border only what lies inside counts.
    """
    scale = length / resized
    centres = (np.arange(resized) + 0.5) * scale
    away = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1.0)
    triangles = np.maximum(1 - away, 0)
    matrix: F32 = (triangles / triangles.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def _names_its_axes(resize: onnx.NodeProto) -> bool:
    said = {a.name: helper.get_attribute_value(a) for a in resize.attribute}
    return said.get("axes") == [2, 3] and said.get("mode") == b"linear" and len(resize.input) == 4
