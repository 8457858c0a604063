"""Softmax written out: runtimes transpose around one whose axis is not the last, which costs many times its work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

_AXES_AS_INPUT = 18  # the opset from which ReduceMax takes them so
_ALONG_ONE_AXIS = 13  # the opset from which a Softmax is that


def written_out(node: onnx.NodeProto, opset: int) -> Iterator[onnx.NodeProto]:
    """A node as it is; a Softmax along any axis but the last as exp(z) / sum(exp z) with z = x - the largest x.

    Networks have some within them, such as before an enlargement; those along the last axis are a runtime's own trade.
    """
    axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
    if node.op_type != "Softmax" or axis == -1 or opset < _ALONG_ONE_AXIS:
        yield node
        return
    [given], [result] = node.input, node.output
    axes, largest, z, e, total = (f"{result}/{what}" for what in ("axes", "largest", "z", "e", "total"))
    yield helper.make_node("Constant", [], [axes], value=numpy_helper.from_array(np.array([axis], np.int64)))
    if opset >= _AXES_AS_INPUT:
        yield helper.make_node("ReduceMax", [given, axes], [largest], keepdims=1)
    else:
        yield helper.make_node("ReduceMax", [given], [largest], axes=[axis], keepdims=1)
    yield helper.make_node("Sub", [given, largest], [z])
    yield helper.make_node("Exp", [z], [e])
    yield helper.make_node("ReduceSum", [e, axes], [total], keepdims=1)
    yield helper.make_node("Div", [e, total], [result])
