"""Networks in float16, as their own graphs say it: what precision a number has is then nobody's choice but the graph's.

Frames are normalised, and scores reduced, in float32: mutual information is a small difference of two entropies.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fleetsift.engines.ensembles.ensemble import Ensemble, embedding_name, input_name, logits_name
from fleetsift.errors import EnsembleError

_LARGEST = float(np.finfo(np.float16).max)
# Inputs that ONNX wants in float32, the region and the scales, and a ratio, by which masks are drawn.
_STAY_FLOAT32 = {"Resize": (1, 2), "Upsample": (1,), "Dropout": (1,)}


def halve(ensemble: Ensemble) -> Ensemble:
    """The same ensemble with networks that take and give float32 and compute in float16 between.

    Raises EnsembleError where a weight is too large for float16 or a network has branches.
    """
    spec = ensemble.spec
    networks = []
    for m, (member, network) in enumerate(zip(spec.members, ensemble.networks, strict=True)):
        answers = {logits_name(ensemble, m), embedding_name(ensemble) if m == spec.embedding_member else None}
        where = f"{ensemble.path} members[{m}] ({member.file})"
        networks.append(_halve_network(network, {name for name in answers if name}, where))
    return replace(ensemble, networks=tuple(networks))


def scores_id(ensemble_id: str, *, half: bool) -> str:
    """Whose scores they are: another precision gives other numbers, which are not ranked with these."""
    return f"{ensemble_id}-fp16" if half else ensemble_id


def kept_in_float32(node: onnx.NodeProto) -> list[str]:
    """The values that a node reads as float32, whatever the network computes in."""
    return [name for i, name in enumerate(node.input) if i in _STAY_FLOAT32.get(node.op_type, ()) and name]


def _halve_network(network: onnx.ModelProto, answers: Collection[str], where: str) -> onnx.ModelProto:
    """A copy whose values are float16 from behind its input to before its answers."""
    halved = onnx.ModelProto()
    halved.CopyFrom(network)
    graph = halved.graph
    taken = input_name(network)
    renamed = {name: f"{name}/half" for name in (taken, *answers)}
    constants = {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    floats = {weight.name for weight in graph.initializer if weight.data_type == TensorProto.FLOAT}

    nodes = [helper.make_node("Cast", [taken], [renamed[taken]], to=TensorProto.FLOAT16)]
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise EnsembleError(f"{where}: expected a network without branches for float16, got {node.op_type}")
        if node.op_type == "Constant":
            nodes.append(helper.make_node("Constant", [], [_float(node.output[0])]))
            nodes[-1].attribute.extend(node.attribute)
        stays = _STAY_FLOAT32.get(node.op_type, ())
        inputs = [_float(name) if i in stays and name else renamed.get(name, name) for i, name in enumerate(node.input)]
        computed = set(kept_in_float32(node)) - constants - floats
        nodes += [helper.make_node("Cast", [name], [_float(name)], to=TensorProto.FLOAT) for name in sorted(computed)]
        node.input[:] = inputs
        node.output[:] = [renamed.get(name, name) for name in node.output]
        _halve_attributes(node, where)
        nodes += _between_casts(node) if node.op_type == "Dropout" else [node]
    nodes += [helper.make_node("Cast", [renamed[name]], [name], to=TensorProto.FLOAT) for name in sorted(answers)]

    read = {name for node in nodes for name in node.input}
    kept = [_rename(weight, _float(weight.name)) for weight in graph.initializer if _float(weight.name) in read]
    weights = [_halve_tensor(weight, where) for weight in graph.initializer]
    outputs = [output for output in graph.output if output.name in answers]
    inputs_of = [value for value in graph.input if value.name == taken]
    graph.CopyFrom(helper.make_graph(nodes, graph.name, inputs_of, outputs, initializer=[*weights, *kept]))
    return halved


def _between_casts(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A `Dropout` in float32, as the masks are that `fuse` puts in its place."""
    value, dropped = node.input[0], node.output[0]
    node.input[0], node.output[0] = _float(dropped), f"{dropped}/dropped"
    return [
        helper.make_node("Cast", [value], [node.input[0]], to=TensorProto.FLOAT),
        node,
        helper.make_node("Cast", [node.output[0]], [dropped], to=TensorProto.FLOAT16),
    ]


def _float(name: str) -> str:
    """What a value is called where it stays, or is again, float32."""
    return f"{name}/float"


def _rename(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    renamed = onnx.TensorProto()
    renamed.CopyFrom(tensor)
    renamed.name = name
    return renamed


def _halve_attributes(node: onnx.NodeProto, where: str) -> None:
    """Constants of a node, and the type that a `Cast` casts to."""
    for attribute in node.attribute:
        if attribute.HasField("t"):
            attribute.t.CopyFrom(_halve_tensor(attribute.t, where))
        elif node.op_type == "Constant" and attribute.name in {"value_float", "value_floats"}:
            values = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            tensor = numpy_helper.from_array(np.asarray(values, np.float32))
            attribute.CopyFrom(helper.make_attribute("value", _halve_tensor(tensor, where)))
        elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _halve_tensor(tensor: onnx.TensorProto, where: str) -> onnx.TensorProto:
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    values = numpy_helper.to_array(tensor)
    if np.abs(values).max(initial=0) > _LARGEST:
        raise EnsembleError(f"{where} {tensor.name}: expected weights up to {_LARGEST:g} for float16, got larger ones")
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)
