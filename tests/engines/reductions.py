"""Every reduction by name: from the same logits of a batch of frames to their rows, whatever the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from fleetsift.engines.compiled.frame_scores import frame_row
from fleetsift.engines.compiled.reduction import reduce_logits
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.graphs.fuse import fused_logits
from fleetsift.engines.graphs.reading import find_broken, read_rows
from fleetsift.engines.graphs.reduction import MEMBER_ENTROPIES, reduction_graph
from fleetsift.engines.modules.reduced import Reduced, answers_of
from fleetsift.engines.modules.reduction import reduce_members
from fleetsift.engines.rows import FrameRow, gather_rows
from fleetsift.schemas.ensemble import EnsembleSpec, InputSpec, MemberSpec, RegionSpec
from fleetsift.schemas.scores import F32, FrameScores, Task
from fleetsift.schemas.status import Problem

TASKS: tuple[Task, ...] = ("semantic_segmentation", "detection_heatmap", "classification")
TOP_SHARE = 0.1

Rows = list[FrameRow | Problem]


def run(graph: onnx.ModelProto, fed: Mapping[str, Any]) -> dict[str, F32]:
    """What a graph answers on ONNX Runtime's CPU provider, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, fed), strict=True))


def spec_of(
    logits_mchw: F32,
    task: Task = "semantic_segmentation",
    regions: RegionSpec | None = None,
    top_share: float = TOP_SHARE,
) -> EnsembleSpec:
    """The ensemble whose members answer so; by default with at most 2 x 3 regions."""
    members, classes, height, width = logits_mchw.shape
    return EnsembleSpec(
        name="raw",
        task=task,
        classes=tuple(f"class_{c}" for c in range(classes)),
        members=(MemberSpec(file="none.onnx", sha256="0" * 64),) * members,
        input=InputSpec(height=height, width=width),
        regions=regions or RegionSpec(rows=min(2, height), columns=min(3, width)),
        top_share=top_share,
    )


def by_formulas(spec: EnsembleSpec, logits_nmchw: F32) -> Rows:
    """The float64 reference."""
    return [score_frame(logits, spec.grid, spec.top_share, task=spec.task) for logits in logits_nmchw]


def by_kernel(spec: EnsembleSpec, logits_nmchw: F32) -> Rows:
    """The compiled kernel of the CPU."""
    rows: Rows = []
    for logits_mchw in logits_nmchw:
        reduced = reduce_logits(np.ascontiguousarray(logits_mchw), task=spec.task)
        broken = find_broken(spec, {MEMBER_ENTROPIES: np.where(reduced.finite, np.float32(0), np.float32(np.nan))})
        rows.append(broken or frame_row(reduced, np.zeros(0, np.float32), spec.grid, spec.top_share))
    return rows


def by_graph(spec: EnsembleSpec, logits_nmchw: F32) -> Rows:
    """Nodes of a graph."""
    fed = {fused_logits(m): np.ascontiguousarray(logits_nmchw[:, m]) for m in range(logits_nmchw.shape[1])}
    return read_rows(spec, run(reduction_graph(spec, logits_nmchw.shape[3:]), fed))


def by_torch(spec: EnsembleSpec, logits_nmchw: F32) -> Rows:
    """Plain torch."""
    members = (torch.from_numpy(logits_nmchw[:, m].copy()) for m in range(logits_nmchw.shape[1]))
    return rows_of(spec, reduce_members(members, spec.task))


def by_triton(spec: EnsembleSpec, logits_nmchw: F32) -> Rows:
    """The Triton kernels, on the CPU only where TRITON_INTERPRET=1 was set before torch was imported."""
    from fleetsift.engines.modules.triton_reduction import reduce_stacked

    stacked = torch.from_numpy(np.ascontiguousarray(logits_nmchw.swapaxes(0, 1)))
    return rows_of(spec, reduce_stacked(stacked, spec.task))


def rows_of(spec: EnsembleSpec, reduced: Reduced) -> Rows:
    """The rows of what torch has reduced."""
    answers = answers_of(reduced, spec.grid, spec.top_share)
    return read_rows(spec, {name: values.numpy() for name, values in answers.items()})


WAYS: dict[str, Callable[[EnsembleSpec, F32], Rows]] = {"kernel": by_kernel, "graph": by_graph, "torch": by_torch}


def scores_of(spec: EnsembleSpec, rows: Rows) -> FrameScores:
    """The rows of a batch as its scores."""
    return gather_rows(rows, spec.classes, spec.grid, 0, spec.task)
