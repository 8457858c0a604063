"""Networks in float32 whose every value is rounded to float16: what a GPU computes, where there is none.

ONNX Runtime's CPU provider runs most float16 nodes in float32 and drops the roundings between them, so a graph of
`half` would look better there than it is. Here they are written out as casts, which no optimizer may drop: as on a GPU
products are added up in float32 and what a node answers is float16.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fleetsift.engines.ensembles.ensemble import Ensemble, input_name
from fleetsift.engines.graphs.half import halve, kept_in_float32


def imitate_half(ensemble: Ensemble) -> Ensemble:
    """The same ensemble with networks as `halve` would have them, but for a CPU; raises EnsembleError as it does."""
    halve(ensemble)  # what a GPU would refuse is refused here too
    return replace(ensemble, networks=tuple(_rounded(network) for network in ensemble.networks))


def _rounded(network: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose input, weights and values are rounded to what float16 can say."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(network)
    graph = rounded.graph
    inferred = onnx.shape_inference.infer_shapes(network).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.output, *inferred.input]}
    exact = {name for node in graph.node for name in kept_in_float32(node)}
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT and weight.name not in exact:
            values = numpy_helper.to_array(weight).astype(np.float16).astype(np.float32)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    given = input_name(network)
    nodes = list(_rounding(given, f"{given}/rounded"))
    for node in graph.node:
        node.input[:] = [f"{name}/rounded" if name == given else name for name in node.input]
        roundings: list[onnx.NodeProto] = []
        for o, name in enumerate(node.output):
            if kinds.get(name) == TensorProto.FLOAT and name not in exact:
                node.output[o] = f"{name}/exact"
                roundings += _rounding(node.output[o], name)
        nodes += [node, *roundings]
    graph.CopyFrom(helper.make_graph(nodes, graph.name, graph.input, graph.output, graph.initializer))
    return rounded


def _rounding(value: str, rounded: str) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Cast", [value], [f"{rounded}/float16"], to=TensorProto.FLOAT16)
    yield helper.make_node("Cast", [f"{rounded}/float16"], [rounded], to=TensorProto.FLOAT)
