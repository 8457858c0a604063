"""All members of an ensemble as one ONNX graph: uint8 frames in, every member's logits out."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter

from fleetsift.engines.ensemble import Ensemble, embedding_name, input_name, logits_name
from fleetsift.engines.nodes import needed_nodes, reads, rename
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import InputSpec

FRAMES = "frames"  # uint8 (N, H, W, 3) RGB at the ensemble's frame size
EMBEDDING = "embedding"  # float32 (N, D), where the ensemble keeps one

_ANTIALIAS_OPSET = 18  # the first whose Resize can average what it shrinks
_DEFAULT_DOMAINS = ("", "ai.onnx")  # two names of ONNX's own operators


def fused_logits(m: int) -> str:
    """The name of member m's logits in the fused graph: float32 (N, C, h, w)."""
    return f"logits_{m}"


def fuse(ensemble: Ensemble) -> onnx.ModelProto:
    """Merge the networks of an ensemble into one graph.

    Frames become planes once, and once for every kind of input what networks of that kind take. Of each member only
    the nodes are kept that its logits need, and the embedding if it is the member whose embedding is kept: with
    `resolution: native` whatever enlarges the logits falls away. With `resolution: full` the logits of a member that
    takes a smaller input than the frame are enlarged to the frame's size, linearly.

    Raises EnsembleError where the networks cannot live in one graph.
    """
    spec = ensemble.spec
    kinds = list(dict.fromkeys(spec.input_of(member) for member in spec.members))
    opset = max(_opset(network) for network in ensemble.networks)
    if any(_shrunk(kind, spec.frame_size) for kind in kinds):
        opset = max(opset, _ANTIALIAS_OPSET)
    networks = [_convert(ensemble, m, opset) for m in range(len(spec.members))]

    parts = [_planes()]
    parts += [_network_input(k, kind, spec.frame_size) for k, kind in enumerate(kinds)]
    for m, member in enumerate(spec.members):
        kind = spec.input_of(member)
        parts.append(_member(ensemble, m, networks[m], _input(kinds.index(kind))))
        if _enlarged(ensemble, m):
            parts.append(_resize(_small_logits(m), fused_logits(m), spec.frame_size, shrinks=False))

    height, width = spec.frame_size
    outputs = {fused_logits(m): ["N", len(spec.classes), None, None] for m in range(len(spec.members))}
    if embedding_name(ensemble):
        outputs[EMBEDDING] = ["N", None]
    graph = helper.make_graph(
        [node for part in parts for node in part.nodes],
        spec.name,
        [helper.make_tensor_value_info(FRAMES, TensorProto.UINT8, ["N", height, width, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        initializer=[weight for part in parts for weight in part.weights],
    )
    fused = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*domain) for domain in _domains(ensemble, networks).items()],
        ir_version=max(network.ir_version for network in networks),
        producer_name="fleetsift",
    )
    helper.set_model_props(fused, {"ensemble_id": ensemble.ensemble_id, "classes": json.dumps(spec.classes)})
    return fused


class _Part(NamedTuple):
    """A piece of the graph to be."""

    nodes: list[onnx.NodeProto]
    weights: list[onnx.TensorProto]


def _input(k: int) -> str:
    """What networks of kind k take."""
    return f"input_{k}"


def _small_logits(m: int) -> str:
    """Logits that are still to be enlarged."""
    return f"small_logits_{m}"


def _shrunk(kind: InputSpec, frame_size: tuple[int, int]) -> bool:
    return (kind.height, kind.width) != frame_size


def _enlarged(ensemble: Ensemble, m: int) -> bool:
    spec = ensemble.spec
    return spec.resolution == "full" and _shrunk(spec.input_of(spec.members[m]), spec.frame_size)


def _planes() -> _Part:
    """Frames (N, H, W, 3) uint8 to planes (N, 3, H, W) float32, still 0 to 255."""
    cast = helper.make_node("Cast", [FRAMES], ["frames_f32"], to=TensorProto.FLOAT)  # TensorRT casts bytes, and no more
    return _Part([cast, helper.make_node("Transpose", ["frames_f32"], ["planes"], perm=[0, 3, 1, 2])], [])


def _network_input(k: int, kind: InputSpec, frame_size: tuple[int, int]) -> _Part:
    """Planes to what a network takes: (pixel / scale - mean) / std, written pixel / (scale * std) - mean / std.

    Where the network takes a smaller image, the planes are shrunk first, and not rounded to bytes.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    planes = "planes"
    if kind.channels == "bgr":
        weights.append(_constant(f"bgr_{k}", [2, 1, 0], np.int64))
        nodes.append(helper.make_node("Gather", [planes, f"bgr_{k}"], [f"planes_bgr_{k}"], axis=1))
        planes = f"planes_bgr_{k}"
    if _shrunk(kind, frame_size):
        shrink = _resize(planes, f"planes_{k}", (kind.height, kind.width), shrinks=True)
        nodes, weights = nodes + shrink.nodes, weights + shrink.weights
        planes = f"planes_{k}"
    std = np.array(kind.std).reshape(1, 3, 1, 1)
    mean = np.array(kind.mean).reshape(1, 3, 1, 1)
    weights += [_constant(f"divisor_{k}", kind.scale * std), _constant(f"shift_{k}", mean / std)]
    nodes.append(helper.make_node("Div", [planes, f"divisor_{k}"], [f"scaled_{k}"]))
    nodes.append(helper.make_node("Sub", [f"scaled_{k}", f"shift_{k}"], [_input(k)]))
    return _Part(nodes, weights)


def _resize(value: str, resized: str, size: tuple[int, int], *, shrinks: bool) -> _Part:
    """Resize (N, K, h, w) to a size, linearly between the centres of pixels.

    What shrinks is averaged over all that falls into a pixel; at the border only what lies inside counts. It is what
    Pillow and torch (`antialias=True`) do.
    """
    averages = int(shrinks)
    node = helper.make_node(
        "Resize",
        [value, "", "", f"{resized}_size"],
        [resized],
        axes=[2, 3],
        mode="linear",
        antialias=averages,
        exclude_outside=averages,
    )
    return _Part([node], [_constant(f"{resized}_size", size, np.int64)])


def _constant(name: str, values: ArrayLike, dtype: type[np.generic] = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def _member(ensemble: Ensemble, m: int, network: onnx.ModelProto, fed_by: str) -> _Part:
    """What member m's outputs need of it, under names of its own."""
    outputs = {logits_name(ensemble, m): _small_logits(m) if _enlarged(ensemble, m) else fused_logits(m)}
    embedding = embedding_name(ensemble)
    if embedding and m == ensemble.spec.embedding_member:
        outputs[embedding] = EMBEDDING
    fed = {input_name(network): fed_by}
    rename(network.graph, f"member_{m}/", outputs | fed)
    nodes = needed_nodes(network.graph, outputs.values())
    used = {value for node in nodes for value in reads(node)}
    return _Part(nodes, [weight for weight in network.graph.initializer if weight.name in used])


def _convert(ensemble: Ensemble, m: int, opset: int) -> onnx.ModelProto:
    """A copy of member m's network without functions, at an opset."""
    network = inliner.inline_local_functions(ensemble.networks[m])
    if _opset(network) == opset:
        return network
    try:
        return version_converter.convert_version(network, opset)
    except Exception as error:  # the converter raises whatever its C++ does
        raise EnsembleError(
            f"{_where(ensemble, m)}: expected a network that converts from opset {_opset(network)} to {opset}, "
            f"which other members need, got {_first_line(error)}; export it with opset {opset}"
        ) from error


def _opset(network: onnx.ModelProto) -> int:
    return max((o.version for o in network.opset_import if o.domain in _DEFAULT_DOMAINS), default=1)


def _domains(ensemble: Ensemble, networks: list[onnx.ModelProto]) -> dict[str, int]:
    """The version of every operator set that the members use; they must agree on it."""
    domains: dict[str, int] = {}
    for m, network in enumerate(networks):
        for opset in network.opset_import:
            domain = "" if opset.domain in _DEFAULT_DOMAINS else opset.domain
            if domains.setdefault(domain, opset.version) != opset.version:
                raise EnsembleError(
                    f"{_where(ensemble, m)}: expected version {domains[domain]} of the operators {domain}, as other "
                    f"members have, got {opset.version}; export all members alike"
                )
    return domains


def _where(ensemble: Ensemble, m: int) -> str:
    return f"{ensemble.path} members[{m}] ({ensemble.spec.members[m].file})"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
