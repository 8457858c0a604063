"""All members of an ensemble as one ONNX graph: uint8 frames in, every member's logits out."""

from __future__ import annotations

import json

import onnx
from msgspec import UNSET
from onnx import TensorProto, helper, inliner, version_converter

from fleetsift.engines.ensembles.ensemble import (
    Ensemble,
    embedding_name,
    gives_probabilities,
    input_name,
    logits_name,
)
from fleetsift.engines.ensembles.nodes import needed_nodes, reads, rename
from fleetsift.engines.ensembles.sizes import value_shapes
from fleetsift.engines.graphs import answers
from fleetsift.engines.graphs.answers import answer_steps, box_terms, mirrored
from fleetsift.engines.graphs.dropout import Dropout, add_masks, find_dropouts, mask_dropouts
from fleetsift.engines.graphs.pieces import Piece
from fleetsift.engines.graphs.preparation import network_input, planes, shrunk
from fleetsift.engines.graphs.softmax import written_out
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import Answer, EnsembleSpec, InputSpec, View

FRAMES = "frames"  # uint8 (N, H, W, 3) RGB at the ensemble's frame size
EMBEDDING = "embedding"  # float32 (N, D), where the ensemble keeps one
BOX_TERMS = "box_terms"  # float32 (N, 4, h, w), where the ensemble scores objects

_ANTIALIAS_OPSET = 18  # the first whose Resize can average what it shrinks
_DEFAULT_DOMAINS = ("", "ai.onnx")  # two names of ONNX's own operators


def fused_logits(a: int) -> str:
    """The name of the logits of `spec.answers[a]` in the fused graph: float32 (N, C, h, w)."""
    return f"logits_{a}"


def fuse(ensemble: Ensemble) -> onnx.ModelProto:
    """Merge the networks of an ensemble into one graph.

    Frames become planes once, and once for every kind of input what networks of that kind take. Of each member only
    the nodes are kept that its logits need, and the embedding if it is the member whose embedding is kept: with
    `resolution: native` whatever enlarges the logits falls away, and in any case an activation that is the last step.
    Answers smaller than other members' are enlarged to the largest, linearly; with `resolution: full` to the frame's
    size, where they are smaller than that. Probabilities become logits, and classes the ensemble's (`answers`); a
    classifier's are (N, C, 1, 1).
    Every view of the frame, and every pass of a member with dropout, is answered by itself with the same weights, and
    un-flipped: `spec.answers` has the order. A pass drops what its masks say (`dropout`), the same for every frame.

    Raises EnsembleError where the networks cannot live in one graph.
    """
    spec, sizes = ensemble.spec, _enlarged_to(ensemble)
    steps = [
        answer_steps(spec, answer, sizes[answer.member], are_probabilities=gives_probabilities(ensemble, answer.member))
        for answer in spec.answers
    ]
    opset = _common_opset(ensemble, has_steps=any(steps))
    networks = [_convert(ensemble, m, opset) for m in range(len(spec.members))]
    dropouts = [_dropouts(ensemble, m, network) for m, network in enumerate(networks)]

    fused = Piece()
    inputs = _add_inputs(fused, spec)
    for a, (answer, todo) in enumerate(zip(spec.answers, steps, strict=True)):
        m = answer.member
        values = [*(f"scores_{a}_{step}" for step in range(len(todo))), fused_logits(a)]
        masks = add_masks(fused, answer, dropouts[m], 0 if spec.seed is UNSET else spec.seed)
        fed_by = inputs[spec.input_of(spec.members[m]), answer.view]
        _add_answer(fused, ensemble, answer, networks[m], masks, fed_by, values[0])
        for step, value, result in zip(todo, values, values[1:], strict=False):
            step(fused, value, result)
        if answer.is_plain and (channel := spec.box_channel(m)) is not None:
            box_terms(fused, values[0], BOX_TERMS, channel)
    return _as_model(fused, ensemble, networks, opset)


def _common_opset(ensemble: Ensemble, *, has_steps: bool) -> int:
    """The version of ONNX's operators that everything in the graph can be said in."""
    spec = ensemble.spec
    needed = [_opset(network) for network in ensemble.networks]
    if any(shrunk(spec.input_of(member), spec.frame_size) for member in spec.members):
        needed.append(_ANTIALIAS_OPSET)
    if has_steps:
        needed.append(answers.OPSET)
    return max(needed)


def _add_inputs(fused: Piece, spec: EnsembleSpec) -> dict[tuple[InputSpec, View], str]:
    """Write what networks take, once for every kind of input and every view; their names."""
    planes(fused, FRAMES)
    inputs: dict[tuple[InputSpec, View], str] = {}
    for answer in spec.answers:
        kind, view = spec.input_of(spec.members[answer.member]), answer.view
        if (kind, view) in inputs:
            continue
        if view == "identity":
            inputs[kind, view] = network_input(fused, len(inputs), kind, spec.frame_size)
        else:  # it comes after what it mirrors
            inputs[kind, view] = f"{inputs[kind, 'identity']}_{view}"
            mirrored(fused, inputs[kind, "identity"], inputs[kind, view])
    return inputs


def _as_model(fused: Piece, ensemble: Ensemble, networks: list[onnx.ModelProto], opset: int) -> onnx.ModelProto:
    """The pieces as a graph from FRAMES to every answer, with the ensemble's id in it."""
    spec = ensemble.spec
    height, width = spec.frame_size
    outputs = {fused_logits(a): ["N", len(spec.classes), None, None] for a in range(len(spec.answers))}
    if embedding_name(ensemble):
        outputs[EMBEDDING] = ["N", None]
    if spec.boxes is not UNSET:
        outputs[BOX_TERMS] = ["N", 4, None, None]
    graph = helper.make_graph(
        [plain for node in fused.nodes for plain in written_out(node, opset)],
        spec.name,
        [helper.make_tensor_value_info(FRAMES, TensorProto.UINT8, ["N", height, width, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        initializer=fused.weights,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*domain) for domain in _domains(ensemble, networks).items()],
        ir_version=max(network.ir_version for network in networks),
        producer_name="fleetsift",
    )
    helper.set_model_props(model, {"ensemble_id": ensemble.ensemble_id, "classes": json.dumps(spec.classes)})
    return model


def _add_answer(
    fused: Piece,
    ensemble: Ensemble,
    answer: Answer,
    network: onnx.ModelProto,
    masks: dict[str, str],
    fed_by: str,
    scores: str,
) -> None:
    """Add what an answer needs of its member's network, under names of its own; the weights are there once."""
    own = f"member_{answer.member}/"
    outputs = {logits_name(ensemble, answer.member): scores}
    embedding = embedding_name(ensemble)
    if embedding and answer.is_plain and answer.member == ensemble.spec.embedding_member:
        outputs[embedding] = EMBEDDING
    graph = onnx.GraphProto(node=network.graph.node)
    if masks:
        mask_dropouts(graph, masks)
    needed = needed_nodes(graph, outputs)
    del graph.node[:]
    graph.node.extend(needed)
    used = {value for node in graph.node for value in reads(node)}
    weights = {weight.name: own + weight.name for weight in network.graph.initializer if weight.name in used}
    prefix = own if answer.is_plain else f"{own}{answer.view}_{answer.dropout_pass}/"
    given = {input_name(network): fed_by} | {mask: mask for mask in masks.values()}
    rename(graph, prefix, outputs | weights | given)
    fused.nodes += graph.node
    there = {weight.name for weight in fused.weights}
    for weight in network.graph.initializer:
        if weight.name in used and weights[weight.name] not in there:
            fused.weights.append(onnx.TensorProto())
            fused.weights[-1].CopyFrom(weight)
            fused.weights[-1].name = weights[weight.name]


def _dropouts(ensemble: Ensemble, m: int, network: onnx.ModelProto) -> list[Dropout]:
    """Where member m drops values, if it has passes."""
    member = ensemble.spec.members[m]
    if member.passes is UNSET:
        return []
    shapes = value_shapes(network, input_name(network), ensemble.spec.input_of(member))
    return find_dropouts(network.graph, shapes, _where(ensemble, m))


def _enlarged_to(ensemble: Ensemble) -> list[tuple[int, int] | None]:
    """The size that each member's answer is enlarged to; None where it has that size.

    It has, too, where its size cannot be told without running the network: opening tells.
    """
    spec = ensemble.spec
    if not spec.grid or (spec.resolution == "native" and len(spec.members) == 1):
        return [None] * len(spec.members)
    kinds = [spec.input_of(member) for member in spec.members]
    shapes = [
        value_shapes(network, input_name(network), kind).get(logits_name(ensemble, m), ())
        for m, (kind, network) in enumerate(zip(kinds, ensemble.networks, strict=True))
    ]
    if spec.resolution == "full":
        sizes = [shape[2:] or (kind.height, kind.width) for shape, kind in zip(shapes, kinds, strict=True)]
        largest = spec.frame_size
    elif all(len(shape) == 4 for shape in shapes):
        sizes = [shape[2:] for shape in shapes]
        largest = max(height for height, _ in sizes), max(width for _, width in sizes)
    else:
        return [None] * len(spec.members)
    return [None if size == largest else largest for size in sizes]


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
