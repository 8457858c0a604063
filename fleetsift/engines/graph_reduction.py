"""The reduction as part of the graph: uint8 frames in, a few floats a frame out, for a device that frames go to once.

The formulas are those of `uncertainty`, written out over the class axis: with z = logit - largest, e = exp z and
S = sum of e, p = e / S and p log p = p (z - log S), which sums over the classes to sum(e z) / S - log S. No `Softmax`:
runtimes transpose around one whose axis is not the last. Members are added to running sums one after the other, so
memory does not grow with their number. Means over positions go along rows first: float32 sums stay short.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeAlias

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from fleetsift.engines.arithmetic import OPSET, Sheet, Value, concatenate, stack, where
from fleetsift.engines.ensemble import Ensemble
from fleetsift.engines.graph import EMBEDDING, fuse, fused_logits
from fleetsift.engines.order import just_in_time
from fleetsift.engines.rows import TIE, FrameRow
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec, RegionSpec
from fleetsift.schemas.scores import F32, QUANTITIES, REGION_QUANTITIES
from fleetsift.schemas.status import Problem, Status

STATISTICS = "statistics"  # float32 (N, quantity, statistic) in the order of QUANTITIES and STATISTICS
BY_CLASS = "by_class"  # float32 (N, quantity, C) in the order of CLASS_QUANTITIES
REGIONS = "regions"  # float32 (N, quantity, rows * columns) in the order of REGION_QUANTITIES
MEMBER_ENTROPIES = "member_entropies"  # float32 (N, M) nats; NaN where a member's logits are not finite

ENTROPY_MAP = "entropy_map"  # float32 (N, 1, h, w) nats
INFORMATION_MAP = "information_map"  # float32 (N, 1, h, w) nats
INFORMATION_MAPS = "information_maps"  # float32 (N, C, h, w) nats
ARGMAX_MAP = "argmax_map"  # float32 (N, 1, h, w), a whole number

_TASKS: tuple[str, ...] = ("semantic_segmentation",)
_CLASSES, _ROWS, _COLUMNS = 1, 2, 3  # axes of (N, C, h, w)
_SMALLEST = 1e-36  # stands for a probability of zero: p log p is zero to any precision
_ROUNDING = -1e-6  # a mutual information between this and zero is zero
_MOST_SORTED = 3840  # the largest k of TensorRT's TopK
_HALVINGS = 26  # of [0, largest]: what is left is below the last bit of a float32 score


def fuse_scores(ensemble: Ensemble) -> onnx.ModelProto:
    """Merge an ensemble and its reduction into one graph, from frames to STATISTICS, BY_CLASS, REGIONS,
    MEMBER_ENTROPIES and, where the ensemble keeps one, EMBEDDING.

    The graph is self-contained: `metadata_props` hold the ensemble id, the classes, the ensemble file (JSON) and the
    versions of what wrote it. Raises EnsembleError where the networks cannot live in one graph, or where the size of
    their logits cannot be known without running them.
    """
    return _fuse_with(ensemble, _frame_outputs)


def fuse_maps(ensemble: Ensemble) -> onnx.ModelProto:
    """Merge an ensemble into one graph from frames to the maps behind their scores, for heat maps.

    Outputs ENTROPY_MAP, INFORMATION_MAP, INFORMATION_MAPS, ARGMAX_MAP and MEMBER_ENTROPIES; else as `fuse_scores`.
    """
    return _fuse_with(ensemble, _map_outputs)


def reduction_graph(spec: EnsembleSpec, size: tuple[int, int]) -> onnx.ModelProto:
    """The reduction by itself, from the logits of each member to what `fuse_scores` gives.

    The inputs, float32 (N, C, h, w) of this size, have the names of `fused_logits`.
    """
    logits = [fused_logits(m) for m in range(len(spec.members))]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(spec.classes), *size]) for name in logits
    ]
    graph = helper.make_graph([], spec.name, inputs, [])
    _append(graph, spec, logits, size, _frame_outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, _facts(spec))
    return model


def read_rows(spec: EnsembleSpec, answers: Mapping[str, F32]) -> list[FrameRow | Problem]:
    """The row of each frame from what a graph of `fuse_scores` answered; a problem where that is not finite."""
    return [_row(spec, {name: values[i] for name, values in answers.items()}) for i in range(len(answers[STATISTICS]))]


def find_broken(spec: EnsembleSpec, answer: Mapping[str, F32]) -> Problem | None:
    """What is not finite in the networks' answers to one frame, named by member and file.

    answer: MEMBER_ENTROPIES (M,) and, if there is one, EMBEDDING (D,).
    """
    finite = np.isfinite(answer[MEMBER_ENTROPIES])
    if not finite.all():
        m, what = int(finite.argmin()), "logits"
    elif EMBEDDING in answer and not np.isfinite(answer[EMBEDDING]).all():
        m, what = spec.embedding_member, "embedding"
    else:
        return None
    reason = f"members[{m}] ({spec.members[m].file}): expected finite {what}, got NaN or infinity"
    return Problem(Status.NON_FINITE, reason)


def _row(spec: EnsembleSpec, answer: Mapping[str, F32]) -> FrameRow | Problem:
    return find_broken(spec, answer) or FrameRow(
        statistics=answer[STATISTICS].astype(np.float64),
        by_class=answer[BY_CLASS].astype(np.float64),
        regions=answer[REGIONS].astype(np.float64),
        embedding=answer.get(EMBEDDING, np.empty(0, np.float32)),
    )


@dataclass(frozen=True, slots=True)
class _Maps:
    """What is said about every position; (N, 1, h, w) unless noted."""

    quantities: list[Value]  # in the order of QUANTITIES
    probability: Value  # (N, C, h, w) P
    class_entropy: Value  # (N, C, h, w)
    class_information: Value  # (N, C, h, w)
    most_probable: Value  # class, as float32
    class_numbers: Value  # (1, C, 1, 1)
    member_entropies: Sequence[Value]  # (N, 1, 1, 1) means over the positions


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one member says about the positions, or several together."""

    p: Value  # (N, C, h, w), summed over the members
    p_log_p: Value  # (N, C, h, w), summed over the members
    votes: tuple[Value, ...]  # a class each, (N, 1, h, w) as float32
    entropies: tuple[Value, ...]  # a mean over the positions each, (N, 1, 1, 1)

    def __add__(self, other: _Answer) -> _Answer:
        return _Answer(
            self.p + other.p, self.p_log_p + other.p_log_p, self.votes + other.votes, self.entropies + other.entropies
        )


def _answer(numbers: Value, logits_nchw: Value) -> _Answer:
    z = logits_nchw - logits_nchw.largest(_CLASSES)
    e = z.exp()
    s = e.sum(_CLASSES)
    p = e / s
    p_log_p = p * (z - s.log())
    entropy = _mean_over_positions(-p_log_p.sum(_CLASSES))
    return _Answer(p, p_log_p, (_first_class(numbers, z >= 0.0),), (entropy,))


def _reduce(logits: Sequence[Value], classes: int) -> _Maps:
    """From the logits (N, C, h, w) of each member to the maps."""
    numbers = logits[0].sheet.constant(np.arange(classes).reshape(1, -1, 1, 1))
    together = functools.reduce(operator.add, (_answer(numbers, logits_nchw) for logits_nchw in logits))
    members = float(len(logits))
    probability, p_log_p = together.p / members, together.p_log_p / members
    class_entropy = -(probability * probability.clip(_SMALLEST, 1.0).log())
    class_information = class_entropy + p_log_p
    information = class_information.sum(_CLASSES)  # not H - E: the small shares of many classes add up better
    first = probability.largest(_CLASSES)
    is_first = numbers.equals(_first_class(numbers, probability >= first))
    second = where(is_first, 0.0, probability).largest(_CLASSES)
    return _Maps(
        quantities=[
            class_entropy.sum(_CLASSES),
            -p_log_p.sum(_CLASSES),
            where(information < _ROUNDING, information, information.clip(0.0, math.inf)),
            1.0 - _most_votes(together.votes) / members,
            1.0 - first.clip(0.0, 1.0),
            1.0 - (first - second).clip(0.0, 1.0),
        ],
        probability=probability,
        class_entropy=class_entropy,
        class_information=class_information,
        most_probable=_first_class(numbers, probability >= first - TIE),
        class_numbers=numbers,
        member_entropies=together.entropies,
    )


def _first_class(numbers: Value, condition: Value) -> Value:
    """The first class for which a condition (N, C, h, w) holds; not by `ArgMax`, whose ties every runtime breaks."""
    return where(condition, numbers, math.inf).smallest(_CLASSES)


def _most_votes(votes: Sequence[Value]) -> Value:
    """The size of the largest party: every member counts those who vote as it does, itself among them."""
    together = concatenate(votes, _CLASSES)
    parties = (together.equals(vote).as_float().sum(_CLASSES) for vote in votes)
    return functools.reduce(Value.larger, parties)


def _mean_over_positions(values: Value) -> Value:
    return values.mean(_COLUMNS).mean(_ROWS)


def _top_mean(values: Value, count: int) -> Value:
    """Mean over the `count` highest positions of each map (N, Q, h, w), (N, Q, 1, 1).

    Few are sorted out. For many a bound is found by halving, so that fewer lie above it than are wanted and the rest
    are equal to it but for the last halving.
    """
    if count <= _MOST_SORTED:
        rows = values.reshape(0, 0, -1)
        return rows.highest(count).mean(2).reshape(0, 0, 1, 1)
    low, high = values.smallest(_ROWS, _COLUMNS), values.largest(_ROWS, _COLUMNS)
    for _ in range(_HALVINGS):
        middle = (low + high) * 0.5
        enough = _sum_over_positions((values > middle).as_float()) >= float(count)
        low, high = where(enough, middle, low), where(enough, high, middle)
    above = values > high
    missing = float(count) - _sum_over_positions(above.as_float())
    return (_sum_over_positions(where(above, values, 0.0)) + missing * high) / float(count)


def _sum_over_positions(values: Value) -> Value:
    return values.sum(_COLUMNS).sum(_ROWS)


def _region_means(values: Value, regions: RegionSpec, size: tuple[int, int]) -> Value:
    """Means over the cells of a grid, (N, Q, rows, columns): along the columns of each cell, then along its rows."""
    strips = [strip.mean(_COLUMNS) for strip in values.split(_lengths(size[1], regions.columns), _COLUMNS)]
    cells = concatenate(strips, _COLUMNS).split(_lengths(size[0], regions.rows), _ROWS)
    return concatenate([cell.mean(_ROWS) for cell in cells], _ROWS)


def _lengths(size: int, parts: int) -> list[int]:
    """How long the parts of an axis are: part i goes from i * size // parts to where the next begins."""
    return [stop - start for start, stop in itertools.pairwise(i * size // parts for i in range(parts + 1))]


# What a graph gives besides the embedding, by name, each with its shape after the batch.
_Outputs: TypeAlias = dict[str, tuple[Value, Sequence[int]]]


def _frame_outputs(maps: _Maps, spec: EnsembleSpec, size: tuple[int, int]) -> _Outputs:
    quantities, classes = len(QUANTITIES), len(spec.classes)
    values = concatenate(maps.quantities, 1)
    statistics = [
        _mean_over_positions(values),
        values.largest(_ROWS, _COLUMNS),
        _top_mean(values, math.ceil(spec.top_share * (size[0] * size[1]))),
    ]
    wins = maps.class_numbers.equals(maps.most_probable).as_float()
    class_maps = [maps.class_entropy, maps.class_information, maps.probability, wins]
    by_class = stack([_mean_over_positions(values).reshape(0, classes) for values in class_maps], 1)
    of_regions = [maps.quantities[QUANTITIES.index(quantity)] for quantity in REGION_QUANTITIES]
    regions = _region_means(concatenate(of_regions, 1), spec.regions, size)
    return {
        STATISTICS: (stack([s.reshape(0, quantities) for s in statistics], 2), (quantities, len(statistics))),
        BY_CLASS: (by_class, (len(class_maps), classes)),
        REGIONS: (regions.reshape(0, len(of_regions), -1), (len(of_regions), spec.regions.rows * spec.regions.columns)),
        MEMBER_ENTROPIES: _member_entropies(maps),
    }


def _map_outputs(maps: _Maps, spec: EnsembleSpec, size: tuple[int, int]) -> _Outputs:
    return {
        ENTROPY_MAP: (maps.quantities[QUANTITIES.index("entropy")], (1, *size)),
        INFORMATION_MAP: (maps.quantities[QUANTITIES.index("mutual_information")], (1, *size)),
        INFORMATION_MAPS: (maps.class_information, (len(spec.classes), *size)),
        ARGMAX_MAP: (maps.most_probable, (1, *size)),
        MEMBER_ENTROPIES: _member_entropies(maps),
    }


def _member_entropies(maps: _Maps) -> tuple[Value, Sequence[int]]:
    members = len(maps.member_entropies)
    return concatenate(maps.member_entropies, 1).reshape(0, members), (members,)


_OutputsOf: TypeAlias = Callable[[_Maps, EnsembleSpec, tuple[int, int]], _Outputs]


def _fuse_with(ensemble: Ensemble, outputs_of: _OutputsOf) -> onnx.ModelProto:
    """The ensemble's graph with the maps, and what is made of them, behind its logits."""
    if ensemble.spec.task not in _TASKS:
        raise EnsembleError(
            f"{ensemble.path} task: expected {' or '.join(_TASKS)}, which can be reduced inside a graph, "
            f"got {ensemble.spec.task}; score it by the engine on the CPU"
        )
    fused = _at_opset(fuse(ensemble))
    embedding = [output for output in fused.graph.output if output.name == EMBEDDING]
    logits = [output.name for output in fused.graph.output if output.name != EMBEDDING]
    size = _map_size(ensemble, fused, logits)
    del fused.graph.output[:]
    _append(fused.graph, ensemble.spec, logits, size, outputs_of)
    fused.graph.output.extend(embedding)
    helper.set_model_props(fused, _facts(ensemble.spec))
    return fused


def _append(
    graph: onnx.GraphProto,
    spec: EnsembleSpec,
    logits: Sequence[str],
    size: tuple[int, int],
    outputs_of: _OutputsOf,
) -> None:
    """Write the reduction of these logits and its outputs to the end of a graph."""
    sheet = Sheet("reduction/")
    maps = _reduce([sheet.value(name) for name in logits], len(spec.classes))
    outputs = outputs_of(maps, spec, size)
    for name, (value, _) in outputs.items():
        sheet.node("Identity", value, called=name)
    graph.initializer.extend(sheet.constants.values())
    nodes = just_in_time(graph.node, sheet.nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, (_, shape) in outputs.items()
    )


def _facts(spec: EnsembleSpec) -> dict[str, str]:
    return {
        "ensemble_id": spec.ensemble_id,
        "classes": json.dumps(spec.classes),
        "ensemble": msgspec.json.encode(spec).decode(),
        "fleetsift": version("fleetsift"),
        "onnx": version("onnx"),
    }


def _at_opset(fused: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with ONNX's own operators of at least OPSET."""
    if max(o.version for o in fused.opset_import if o.domain == "") >= OPSET:
        return fused
    return version_converter.convert_version(fused, OPSET)


def _map_size(ensemble: Ensemble, fused: onnx.ModelProto, logits: Sequence[str]) -> tuple[int, int]:
    """(h, w) of the logits, the same for every member; the cells of the grid and the share of positions hang on it."""
    inferred = onnx.shape_inference.infer_shapes(fused, data_prop=True).graph
    shapes = {output.name: output.type.tensor_type.shape.dim[2:] for output in inferred.output}
    sizes = {name: tuple(d.dim_value for d in shapes[name]) for name in logits}
    size = sizes[logits[0]]
    for name, found in sizes.items():
        if len(found) != 2 or 0 in found or found != size:
            raise EnsembleError(
                f"{ensemble.path} {name}: expected logits (N, {len(ensemble.spec.classes)}, h, w) of a size that is "
                f"known before they are computed, and of one size, got {found} and {size}; export fixed sizes"
            )
    height, width = size
    regions = ensemble.spec.regions
    if height < regions.rows or width < regions.columns:
        raise EnsembleError(
            f"{ensemble.path} regions: expected at most {height} rows and {width} columns, as many as there are "
            f"positions, got {regions.rows} and {regions.columns}; make the grid coarser"
        )
    return height, width
