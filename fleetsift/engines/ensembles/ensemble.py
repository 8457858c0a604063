"""An ensemble file and its networks, read, verified and held against what the file says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import onnx
from msgspec import UNSET

from fleetsift.engines.ensembles.activation import before_activation
from fleetsift.engines.ensembles.native import native_logits
from fleetsift.engines.ensembles.networks import read_network
from fleetsift.engines.ensembles.sizes import value_shapes
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec, InputSpec, Resolution
from fleetsift.schemas.reading import parse_yaml
from fleetsift.schemas.scores import has_independent_classes


@dataclass(frozen=True, slots=True)
class Ensemble:
    """What an ensemble file says, and the networks it names, in its order."""

    path: Path
    spec: EnsembleSpec
    networks: tuple[onnx.ModelProto, ...]

    @property
    def folder(self) -> Path:
        """Where the networks lie."""
        return self.path.parent

    @property
    def ensemble_id(self) -> str:
        """The name and a hash of everything that changes a number."""
        return self.spec.ensemble_id

    def frames_at_once(self, wanted: int) -> int:
        """How many frames its networks can be given together: one, where any was exported for a batch of one."""
        leading = [shape[0] for network in self.networks if (shape := _dimensions(_inputs(network)[0]))]
        return 1 if 1 in leading else wanted


def read_ensemble(path: str | Path) -> Ensemble:
    """Read an ensemble file (YAML) and every network it names.

    Raises ConfigError where the file itself cannot be meant; EnsembleError where a network is absent or altered,
    or does not take and give what the file says.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: expected an ensemble file, got {error.strerror}; check the path") from error
    spec = parse_yaml(text, EnsembleSpec, str(path))
    if spec.embedding_member >= len(spec.members):
        raise ConfigError(
            f"{path} embedding_member: expected 0 to {len(spec.members) - 1}, got {spec.embedding_member}; mend it"
        )
    networks = tuple(read_network(path.parent / member.file, member.sha256) for member in spec.members)
    return _checked_sizes(checked(Ensemble(path, spec, networks)))


def at_resolution(ensemble: Ensemble, resolution: Resolution) -> Ensemble:
    """The same networks scored at another size; raises EnsembleError where they do not answer at it."""
    other = replace(ensemble, spec=msgspec.structs.replace(ensemble.spec, resolution=resolution))
    return _checked_sizes(checked(other))


def checked(ensemble: Ensemble) -> Ensemble:
    """The ensemble, its networks held against its file; raises EnsembleError where they do not fit."""
    for m in range(len(ensemble.networks)):
        _check_member(ensemble, m)
    return ensemble


def _checked_sizes(ensemble: Ensemble) -> Ensemble:
    """Full size is what a network says so of: an answer at its own stride, enlarged, would only cost more."""
    spec = ensemble.spec
    for m, (member, network) in enumerate(zip(spec.members, ensemble.networks, strict=True)):
        kind = spec.input_of(member)
        found = value_shapes(network, input_name(network), kind).get(logits_name(ensemble, m), ())[2:]
        if spec.resolution == "full" and found not in {(), (kind.height, kind.width)}:
            raise EnsembleError(
                f"{ensemble.path} members[{m}] ({member.file}): expected full logits of {(kind.height, kind.width)} "
                f"positions, as its input has, got {found}; name what enlarges them, or write `resolution: native`"
            )
    return ensemble


def input_name(network: onnx.ModelProto) -> str:
    """The name of the one tensor a checked network takes."""
    return _inputs(network)[0].name


def logits_name(ensemble: Ensemble, m: int) -> str:
    """The name of the logits, or probabilities, that member m is scored by.

    Native ones without a name are what the network's last nodes enlarge; raises EnsembleError where they do not. Where
    a network makes probabilities of its logits as its last step, it is the logits.
    """
    return _answer(ensemble, m)[0]


def gives_probabilities(ensemble: Ensemble, m: int) -> bool:
    """Whether what `logits_name` names are probabilities of member m, and not its logits."""
    return _answer(ensemble, m)[1]


def _answer(ensemble: Ensemble, m: int) -> tuple[str, bool]:
    """What member m is scored by, and whether it is probabilities."""
    spec, network = ensemble.spec, ensemble.networks[m]
    output, channels = spec.output_of(spec.members[m]), spec.channels_of(spec.members[m])
    claimed = spec.activation_of(spec.members[m]) == "probabilities"
    operator = "Sigmoid" if has_independent_classes(spec.task) else "Softmax"

    def bare(name: str) -> str | None:  # box terms beside the classes would be stripped with them
        return before_activation(network, name, operator) if claimed and channels.boxes is None else None

    named = output.full if spec.resolution == "full" else output.native
    if named is None:
        before_last = bare(output.full)
        named = native_logits(network, before_last or output.full)
        if named is None:
            raise EnsembleError(
                f"{ensemble.path} members[{m}].output.native: expected the name of a tensor, as resolution is native "
                f"and {output.full} is not enlarged by the network's last nodes, got none; name it, or write "
                "`resolution: full`"
            )
        claimed = claimed and before_last is None
    stripped = bare(named) if claimed else None
    return stripped or named, claimed and stripped is None


def embedding_name(ensemble: Ensemble) -> str | None:
    """The name of the tensor of `embedding_member` that is kept of every frame, if there is one."""
    return ensemble.spec.output_of(ensemble.spec.members[ensemble.spec.embedding_member]).embedding


def _check_member(ensemble: Ensemble, m: int) -> None:
    """Hold a network against the ensemble file, as far as its file tells; a black frame tells the rest at opening."""
    spec, network = ensemble.spec, ensemble.networks[m]
    where = f"{ensemble.path} members[{m}] ({spec.members[m].file})"
    if network.graph.sparse_initializer:
        raise EnsembleError(f"{where}: expected dense weights, got sparse ones; export the network without them")
    _check_dropout(where, network, has_passes=spec.members[m].passes is not UNSET)
    _check_input(where, network, spec.input_of(spec.members[m]))
    shapes = _shapes(network)
    answer = "probabilities" if gives_probabilities(ensemble, m) else "logits"
    _check_activation(where, ensemble, m)
    wanted = {answer: logits_name(ensemble, m)}
    if m == spec.embedding_member and (embedding := embedding_name(ensemble)):
        wanted["embedding"] = embedding
    for what, name in wanted.items():
        if name not in shapes:
            given = ", ".join(output.name for output in network.graph.output)
            raise EnsembleError(f"{where}: expected {what} named {name}, got outputs {given}; mend `output`")
    shape, expected = shapes[wanted[answer]], _answer_shape(spec, m)
    if shape and (len(shape) != len(expected) or shape[1] not in {None, expected[1]}):
        raise EnsembleError(
            f"{where} {wanted[answer]}: expected {answer} {_show(expected)} for "
            f"{len(spec.classes_of(spec.members[m]))} classes, "
            f"got {_show(shape)}; mend `classes` or `output`"
        )


def _check_activation(where: str, ensemble: Ensemble, m: int) -> None:
    """Nothing that is a probability already is made one again: a softmax of a softmax is neither."""
    spec, name = ensemble.spec, logits_name(ensemble, m)
    if spec.activation_of(spec.members[m]) == "probabilities":
        return
    for operator in ("Softmax", "Sigmoid"):
        if before_activation(ensemble.networks[m], name, operator):
            raise EnsembleError(
                f"{where} {name}: expected logits, got what a {operator} makes of them; say `output.activation: "
                "probabilities`"
            )


def _answer_shape(spec: EnsembleSpec, m: int) -> tuple[int | str, ...]:
    """What a member answers with looks like; sizes that are open have a letter."""
    member = spec.members[m]
    channels = spec.channels_of(member).classes + len(spec.classes_of(member))
    return ("N", channels) if spec.task == "classification" else ("N", channels, "h", "w")


def _check_dropout(where: str, network: onnx.ModelProto, *, has_passes: bool) -> None:
    dropouts = [node for node in network.graph.node if node.op_type == "Dropout"]
    if has_passes and not dropouts:
        raise EnsembleError(f"{where} passes: expected a network that keeps its Dropout, got none; export it with them")
    if not has_passes and any("".join(node.input[2:]) for node in dropouts):
        # The third input switches it on; ONNX Runtime removes it even then, and all passes would agree in silence.
        raise EnsembleError(
            f"{where}: expected a network without active dropout; say `passes`, or export it in evaluation mode"
        )


def _check_input(where: str, network: onnx.ModelProto, expected: InputSpec) -> None:
    inputs = _inputs(network)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise EnsembleError(f"{where}: expected a network with one input, got {names}; export it with images only")
    if inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(inputs[0].type.tensor_type.elem_type)
        raise EnsembleError(f"{where} {inputs[0].name}: expected float32 input, got {kind}; export it in float32")
    shape = _dimensions(inputs[0])
    if shape is None:
        return
    wanted = (None, 3, expected.height, expected.width)
    if len(shape) != 4 or any(a is not None and b is not None and a != b for a, b in zip(shape, wanted, strict=True)):
        raise EnsembleError(
            f"{where} {inputs[0].name}: expected {_show(wanted)} as `input` says, got {_show(shape)}; mend `input`"
        )
    if shape[0] not in {None, 1}:
        raise EnsembleError(
            f"{where} {inputs[0].name}: expected a network that takes any number of images at once, or one, got one "
            f"for {shape[0]}; export it with a dynamic batch"
        )


def _inputs(network: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in network.graph.initializer}  # old files list them as inputs too
    return [value for value in network.graph.input if value.name not in weights]


def _shapes(network: onnx.ModelProto) -> dict[str, tuple[int | None, ...] | None]:
    """The shape of every value a network computes, as far as it can be known without running it."""
    inferred = onnx.shape_inference.infer_shapes(network).graph
    shapes = dict.fromkeys(name for node in inferred.node for name in node.output if name)
    return shapes | {value.name: _dimensions(value) for value in [*inferred.value_info, *inferred.output]}


def _dimensions(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """Sizes by axis, None where one is left open; None where even their number is."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)


def _show(shape: tuple[int | str | None, ...]) -> str:
    return f"({', '.join('N' if size is None else str(size) for size in shape)})"
