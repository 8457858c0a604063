"""Which ensembles scored at full size may leave the last enlargement of their logits to whoever reduces them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx
from msgspec import UNSET, structs
from onnx import helper, numpy_helper

from fleetsift.engines.ensembles.ensemble import Ensemble, input_name
from fleetsift.engines.ensembles.sizes import value_shapes
from fleetsift.schemas.ensemble import EnsembleSpec

_PASSES_ON = frozenset({"Identity", "Dropout"})  # a checked network has no active dropout
_SYMMETRIC = frozenset({"half_pixel", "pytorch_half_pixel"})

# What else a Resize may say, and means nothing where it enlarges linearly and stretches both axes.
_PLAIN = {"mode": "linear", "antialias": 0, "exclude_outside": 0, "keep_aspect_ratio_policy": "stretch"}


def left_to_reduction(ensemble: Ensemble) -> Ensemble | None:
    """The ensemble without the `Resize` at the end of its networks; None where anything else would come out of it.

    Linear interpolation may be left to the reduction where the logits of all members have one size, the frame has a
    power of two times as many rows and columns, which every runtime counts without rounding, and nothing but an order
    of classes and mirroring follows it.
    """
    spec = ensemble.spec
    if spec.resolution != "full" or not spec.grid or spec.boxes is not UNSET or not _only_reorders(spec):
        return None
    members, sizes = [], set()
    for member, network in zip(spec.members, ensemble.networks, strict=True):
        output, kind = spec.output_of(member), spec.input_of(member)
        shapes = value_shapes(network, input_name(network), kind)
        native = _before_enlargement(network, output.full, shapes)
        if native is None or (kind.height, kind.width) != spec.frame_size:
            return None
        sizes |= {shapes[native][2:], shapes[output.full][2:]}
        members.append(structs.replace(member, output=structs.replace(output, native=native)))
    if len(sizes) != 2 or max(sizes) != spec.frame_size:
        return None
    return replace(ensemble, spec=structs.replace(spec, members=tuple(members), resolution="native"))


def _only_reorders(spec: EnsembleSpec) -> bool:
    """Whether what is done to the members' answers can as well be done before they are enlarged."""
    return all(
        spec.activation_of(member) != "probabilities"
        and spec.channels_of(member).objectness is None
        and all(len(channels) == 1 for channels in spec.channels_by_class(member))
        for member in spec.members
    )


def _before_enlargement(network: onnx.ModelProto, logits: str, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The name of what a network enlarges as its last step, linearly and by powers of two."""
    writers = {name: node for node in network.graph.node for name in node.output}
    node = writers.get(logits)
    while node is not None and node.op_type in _PASSES_ON:
        node = writers.get(node.input[0])
    if node is None or node.op_type != "Resize" or not _is_linear(node):
        return None
    small, large = shapes.get(node.input[0], ()), shapes.get(logits, ())
    if len(small) != 4 or len(large) != 4 or small[:2] != large[:2]:
        return None
    factors = [many / few for few, many in zip(small[2:], large[2:], strict=True)]
    if any(factor not in {2, 4, 8, 16, 32, 64} for factor in factors):
        return None
    scales = _constant(network, writers, node.input[2])
    by_size = len(node.input) > 3 and bool(node.input[3])
    return node.input[0] if by_size or scales == [1, 1, *factors] else None


def _is_linear(node: onnx.NodeProto) -> bool:
    """Whether it interpolates linearly between centres, over all four axes."""
    said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    said = {name: value.decode() if isinstance(value, bytes) else value for name, value in said.items()}
    return (
        said.get("mode") == "linear"
        and said.get("coordinate_transformation_mode", "half_pixel") in _SYMMETRIC
        and all(said.get(name, meaning) == meaning for name, meaning in _PLAIN.items())
        and "axes" not in said
        and len(node.input) > 2  # with two it is of opset 10, which counts from the corners
    )


def _constant(network: onnx.ModelProto, writers: Mapping[str, onnx.NodeProto], name: str) -> list[float] | None:
    """The values of a constant, if the name is one's."""
    for weight in network.graph.initializer:
        if weight.name == name:
            return list(map(float, numpy_helper.to_array(weight).ravel()))
    node = writers.get(name)
    if node is None or node.op_type != "Constant" or node.attribute[0].name != "value":
        return None
    return list(map(float, numpy_helper.to_array(node.attribute[0].t).ravel()))
