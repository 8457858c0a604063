"""The reduction as part of the graph: uint8 frames in, a few floats a frame out, for a device that frames go to once.

What is said of the positions is written by `graphs.formulas`; here is what becomes of it for a frame.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TypeAlias

import msgspec
import onnx
from msgspec import UNSET
from onnx import TensorProto, helper, version_converter

from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.graphs.arithmetic import OPSET, Sheet, Value, concatenate, stack, where
from fleetsift.engines.graphs.boxes import FACTS, write_box_facts
from fleetsift.engines.graphs.formulas import COLUMNS, ROWS, GraphMaps, clip_rounding, mean_over_positions, write_maps
from fleetsift.engines.graphs.fuse import BOX_TERMS, EMBEDDING, fuse, fused_logits
from fleetsift.engines.graphs.order import just_in_time
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import Answer, EnsembleSpec, RegionSpec
from fleetsift.schemas.scores import REGION_QUANTITIES

STATISTICS = "statistics"  # float32 (N, quantity, statistic) in the order of `quantities_of(task)` and STATISTICS
BY_CLASS = "by_class"  # float32 (N, quantity, C) in the order of `class_quantities_of(task)`
REGION_ARGMAX = "region_argmax"  # float32 (N, rows * columns, C), where there is a grid and one class is the answer
REGIONS = "regions"  # float32 (N, quantity, rows * columns) in the order of REGION_QUANTITIES, where there is a grid
EQUAL = "equal"  # float32 (N, distance) in the order of EQUAL_DISTANCES, where views are compared
BOX_FACTS = "box_facts"  # float32 (N, 9, h, w), as `graphs.boxes` has them, where the ensemble scores objects
MEMBER_ENTROPIES = "member_entropies"  # float32 (N, M) nats, an answer each; NaN where its logits are not finite

ENTROPY_MAPS = "entropy_maps"  # float32 (N, C, h, w) nats
ENTROPY_MAP = "entropy_map"  # float32 (N, 1, h, w) nats
INFORMATION_MAP = "information_map"  # float32 (N, 1, h, w) nats
INFORMATION_MAPS = "information_maps"  # float32 (N, C, h, w) nats
ARGMAX_MAP = "argmax_map"  # float32 (N, 1, h, w), a whole number

_MOST_SORTED = 3840  # the largest k of TensorRT's TopK
_HALVINGS = 26  # of [0, largest]: what is left is below the last bit of a float32 score


def fuse_scores(ensemble: Ensemble) -> onnx.ModelProto:
    """Merge an ensemble and its reduction into one graph.

    From frames to STATISTICS, BY_CLASS, MEMBER_ENTROPIES and, where the ensemble has such, REGIONS, EQUAL, BOX_FACTS,
    EMBEDDING.
    The graph is self-contained: `metadata_props` hold the ensemble id, the classes, the ensemble file (JSON) and the
    versions of what wrote it. Raises EnsembleError where the networks cannot live in one graph, or where the size of
    their logits cannot be known without running them.
    """
    return _fuse_with(ensemble, _frame_outputs)


def fuse_maps(ensemble: Ensemble) -> onnx.ModelProto:
    """Merge an ensemble into one graph from frames to the maps behind their scores, for heat maps.

    Outputs ENTROPY_MAP, INFORMATION_MAP, ENTROPY_MAPS, INFORMATION_MAPS, ARGMAX_MAP, MEMBER_ENTROPIES; else as
    `fuse_scores`.
    """
    return _fuse_with(ensemble, _map_outputs)


def reduction_graph(spec: EnsembleSpec, size: tuple[int, int]) -> onnx.ModelProto:
    """The reduction by itself, from the logits of each of `spec.answers` to what `fuse_scores` gives.

    The inputs, float32 (N, C, h, w) of this size, have the names of `fused_logits`; BOX_TERMS are one where they count.
    """
    logits = [fused_logits(a) for a in range(len(spec.answers))]
    channels = dict.fromkeys(logits, len(spec.classes)) | ({} if spec.boxes is UNSET else {BOX_TERMS: 4})
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", count, *size]) for name, count in channels.items()
    ]
    graph = helper.make_graph([], spec.name, inputs, [])
    _append(graph, spec, logits, size, _frame_outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, _facts(spec))
    return model


def _top_mean(values: Value, count: int) -> Value:
    """Mean over the `count` highest positions of each map (N, Q, h, w), (N, Q, 1, 1).

    Few are sorted out. For many a bound is found by halving, so that fewer lie above it than are wanted and the rest
    are equal to it but for the last halving.
    """
    if count <= _MOST_SORTED:
        rows = values.reshape(0, 0, -1)
        return rows.highest(count).mean(2).reshape(0, 0, 1, 1)
    low, high = values.smallest(ROWS, COLUMNS), values.largest(ROWS, COLUMNS)
    for _ in range(_HALVINGS):
        middle = (low + high) * 0.5
        enough = _sum_over_positions((values > middle).as_float()) >= float(count)
        low, high = where(enough, middle, low), where(enough, high, middle)
    above = values > high
    missing = float(count) - _sum_over_positions(above.as_float())
    return (_sum_over_positions(where(above, values, 0.0)) + missing * high) / float(count)


def _sum_over_positions(values: Value) -> Value:
    return values.sum(COLUMNS).sum(ROWS)


def _region_means(values: Value, regions: RegionSpec, size: tuple[int, int]) -> Value:
    """Means over the cells of a grid, (N, Q, rows, columns): along the columns of each cell, then along its rows."""
    strips = [strip.mean(COLUMNS) for strip in values.split(_lengths(size[1], regions.columns), COLUMNS)]
    cells = concatenate(strips, COLUMNS).split(_lengths(size[0], regions.rows), ROWS)
    return concatenate([cell.mean(ROWS) for cell in cells], ROWS)


def _lengths(size: int, parts: int) -> list[int]:
    """How long the parts of an axis are: part i goes from i * size // parts to where the next begins."""
    return [stop - start for start, stop in itertools.pairwise(i * size // parts for i in range(parts + 1))]


# What a graph gives besides the embedding, by name, each with its shape after the batch.
_Outputs: TypeAlias = dict[str, tuple[Value, Sequence[int]]]


def _frame_outputs(maps: GraphMaps, spec: EnsembleSpec, size: tuple[int, int]) -> _Outputs:
    quantities, classes = len(maps.quantities), len(spec.classes)
    values = concatenate(list(maps.quantities.values()), 1)
    statistics = [
        mean_over_positions(values),
        values.largest(ROWS, COLUMNS),
        _top_mean(values, math.ceil(spec.top_share * (size[0] * size[1]))),
    ]
    means = {name: mean_over_positions(values) for name, values in maps.class_quantities.items()}
    means["mutual_information"] = clip_rounding(means["mutual_information"])
    by_class = [mean.reshape(0, classes) for mean in means.values()]
    outputs: _Outputs = {
        STATISTICS: (stack([s.reshape(0, quantities) for s in statistics], 2), (quantities, len(statistics))),
        BY_CLASS: (stack(by_class, 1), (len(by_class), classes)),
        MEMBER_ENTROPIES: _side_by_side(maps.member_entropies),
    }
    if spec.grid:
        shown = concatenate([maps.quantities[quantity] for quantity in REGION_QUANTITIES], 1)
        shape = (len(REGION_QUANTITIES), spec.grid.rows * spec.grid.columns)
        outputs[REGIONS] = (_region_means(shown, spec.grid, size).reshape(0, *shape), shape)
    if spec.grid and "argmax" in maps.class_quantities:
        cells = spec.grid.rows * spec.grid.columns
        of_classes = _region_means(maps.class_quantities["argmax"], spec.grid, size).reshape(0, classes, cells)
        outputs[REGION_ARGMAX] = (of_classes.transposed(0, 2, 1), (cells, classes))
    if maps.equal:
        outputs[EQUAL] = _side_by_side(maps.equal)
    return outputs


def _map_outputs(maps: GraphMaps, spec: EnsembleSpec, size: tuple[int, int]) -> _Outputs:
    return {
        ENTROPY_MAP: (maps.quantities["entropy"], (1, *size)),
        INFORMATION_MAP: (maps.quantities["mutual_information"], (1, *size)),
        ENTROPY_MAPS: (maps.class_quantities["entropy"], (len(spec.classes), *size)),
        INFORMATION_MAPS: (maps.class_quantities["mutual_information"], (len(spec.classes), *size)),
        ARGMAX_MAP: (maps.most_probable, (1, *size)),
        MEMBER_ENTROPIES: _side_by_side(maps.member_entropies),
    }


def _side_by_side(values: Sequence[Value]) -> tuple[Value, Sequence[int]]:
    """Numbers (N, 1, 1, 1) as (N, K), and K."""
    return concatenate(values, 1).reshape(0, len(values)), (len(values),)


_OutputsOf: TypeAlias = Callable[[GraphMaps, EnsembleSpec, tuple[int, int]], _Outputs]


def _fuse_with(ensemble: Ensemble, outputs_of: _OutputsOf) -> onnx.ModelProto:
    """The ensemble's graph with the maps, and what is made of them, behind its logits."""
    fused = _at_opset(fuse(ensemble))
    embedding = [output for output in fused.graph.output if output.name == EMBEDDING]
    logits = [fused_logits(a) for a in range(len(ensemble.spec.answers))]
    size = _map_size(ensemble, fused, [output.name for output in fused.graph.output if output.name != EMBEDDING])
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
    values = [sheet.value(name) for name in logits]
    maps = write_maps(spec.task, values, len(spec.classes), compares_views=spec.compares_views)
    outputs = outputs_of(maps, spec, size)
    if spec.boxes is not UNSET and outputs_of is _frame_outputs:
        seen = values[spec.answers.index(Answer(spec.boxes.member, 0, "identity"))]
        facts = write_box_facts(sheet.value(BOX_TERMS), seen, len(spec.classes))
        outputs[BOX_FACTS] = (facts, (FACTS, *size))
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
                f"{ensemble.path} {name}: expected (N, K, h, w) of a size that is known before it is computed, and the "
                f"same as of {logits[0]}, got {found} and {size}; export fixed sizes"
            )
    height, width = size
    regions = ensemble.spec.grid
    if regions and (height < regions.rows or width < regions.columns):
        raise EnsembleError(
            f"{ensemble.path} regions: expected at most {height} rows and {width} columns, as many as there are "
            f"positions, got {regions.rows} and {regions.columns}; make the grid coarser"
        )
    return height, width
