"""An ensemble on ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleetsift.engines.compiled.consistency import equal_scores
from fleetsift.engines.compiled.frame_scores import frame_row
from fleetsift.engines.compiled.reduction import Reduced, reduce_logits
from fleetsift.engines.compiled.tiles import AS_ANSWERED, enlarge_linearly
from fleetsift.engines.engine import UncertaintyMaps
from fleetsift.engines.ensembles.ensemble import Ensemble, embedding_name
from fleetsift.engines.formulas.boxes import class_facts, find_boxes, object_scores
from fleetsift.engines.formulas.independent import probabilities
from fleetsift.engines.graphs.answers import unfit
from fleetsift.engines.graphs.enlargement import left_to_reduction
from fleetsift.engines.graphs.fuse import BOX_TERMS, EMBEDDING, FRAMES, fuse, fused_logits
from fleetsift.engines.graphs.half import scores_id
from fleetsift.engines.graphs.imitation import imitate_half
from fleetsift.engines.rows import FrameRow, gather_rows
from fleetsift.engines.runtimes.sessions import errors_as, open_session
from fleetsift.errors import EnsembleError, FrameError
from fleetsift.schemas.ensemble import Answer
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores
from fleetsift.schemas.status import Problem, Status


class OnnxEngine:
    """An ensemble as one graph on ONNX Runtime's CPU provider, with the compiled reduction behind it.

    As many frames are in work at once as there are threads, each from pixels to row in one thread: no thread waits
    for another inside a network, and a row cannot depend on its batch or on the number of threads. Memory grows with
    the threads, by the logits of one frame each; batches smaller than the threads leave some idle. Scored at full
    size, the logits are enlarged by the reduction, a few rows of one member at a time, wherever that is the same.
    """

    def __init__(self, ensemble: Ensemble, threads: int, *, half: bool = False) -> None:
        """Build and try the graph. Raises MissingExtra without ONNX Runtime, EnsembleError where the graph fails.

        half: networks in float16, which a CPU imitates slowly: to know what a GPU's float16 does to scores.
        """
        self._spec = ensemble.spec
        self._id = scores_id(ensemble.ensemble_id, half=half)
        whole = imitate_half(ensemble) if half else ensemble
        shortened = left_to_reduction(whole)
        self._session = open_session(fuse(shortened or whole), str(ensemble.path))
        sizes = _try_black_frame(ensemble, self._session, is_enlarged=shortened is None)
        self._enlargement = enlarge_linearly(sizes.logits[2:], self.frame_size) if shortened else AS_ANSWERED
        self._embedding_size = sizes.embedding
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        for _ in range(threads):
            self._lanes.put(_open_lane(self._session, sizes))
        with self._lane() as lane:  # compiled, or its machine code loaded, before the first frame waits for it
            self._reduce(lane)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")

    @property
    def ensemble_id(self) -> str:
        """Names everything that changes a number."""
        return self._id

    @property
    def members(self) -> int:
        """M, how many answers there are: views and passes of dropout count."""
        return len(self._spec.answers)

    @property
    def classes(self) -> tuple[str, ...]:
        """The C classes, in the order of every (N, C) score."""
        return self._spec.classes

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) that frames are decoded to."""
        return self._spec.frame_size

    def score(self, frames: FrameBatch) -> FrameScores:
        """Score a batch, as `Engine.score` promises."""
        self._check_size(frames.pixels.shape[1:])
        rows = list(self._pool.map(self._row, frames.pixels, frames.problems))
        spec = self._spec
        return gather_rows(
            rows,
            self.classes,
            spec.grid,
            self._embedding_size,
            spec.task,
            objects=spec.boxes is not UNSET,
            equal=spec.compares_views,
        )

    def maps(self, frame: NDArray[np.uint8]) -> UncertaintyMaps:
        """The maps behind one frame's scores, as `Engine.maps` promises."""
        self._check_size(frame.shape)
        with self._lane() as lane:
            lane.run(self._session, frame)
            reduced = self._reduce(lane, class_maps=True)
            if problem := self._broken(reduced, lane):
                raise FrameError(problem.status, problem.reason)
        return UncertaintyMaps(
            reduced.map_of("entropy"),
            reduced.map_of("mutual_information"),
            reduced.class_entropy,
            reduced.class_information,
            reduced.argmax,
        )

    def close(self) -> None:
        """Let the threads end; the engine is not used again."""
        self._pool.shutdown()

    def _row(self, pixels: NDArray[np.uint8], problem: Problem | None) -> FrameRow | Problem:
        if problem:
            return problem
        with self._lane() as lane:
            lane.run(self._session, pixels)
            reduced = self._reduce(lane)
            if problem := self._broken(reduced, lane):
                return problem
            row = frame_row(reduced, lane.embedding, self._spec.grid, self._spec.top_share)
            equal = equal_scores(lane.logits, self._enlargement) if self._spec.compares_views else None
            return replace(row, objects=self._objects(lane), equal=equal)

    def _objects(self, lane: _Lane) -> NDArray[np.float64] | None:
        """What the boxes in a frame say, where the ensemble file says how they are found."""
        boxes = self._spec.boxes
        if boxes is UNSET:
            return None
        p, _ = probabilities(lane.logits[self._spec.answers.index(Answer(boxes.member, 0, "identity"))])
        found = find_boxes(lane.box_terms, class_facts(p), boxes, self._spec.input_of(self._spec.members[boxes.member]))
        return object_scores(found)

    def _reduce(self, lane: _Lane, *, class_maps: bool = False) -> Reduced:
        return reduce_logits(lane.logits, class_maps=class_maps, task=self._spec.task, enlargement=self._enlargement)

    def _broken(self, reduced: Reduced, lane: _Lane) -> Problem | None:
        """What is not finite in the networks' answers to a frame, named by member and file."""
        if not reduced.finite.all():
            m = self._spec.answers[int(reduced.finite.argmin())].member
            what = unfit(self._spec, m)
        elif not np.isfinite(lane.embedding).all():
            m, what = self._spec.embedding_member, "expected a finite embedding, got NaN or infinity"
        elif self._spec.boxes is not UNSET and not np.isfinite(lane.box_terms).all():
            m, what = self._spec.boxes.member, "expected finite box terms, got NaN or infinity"
        else:
            return None
        return Problem(Status.NON_FINITE, f"members[{m}] ({self._spec.members[m].file}): {what}")

    def _check_size(self, shape: tuple[int, ...]) -> None:
        if shape != (*self.frame_size, 3):
            raise ValueError(f"OnnxEngine frames: expected (height, width, 3) {(*self.frame_size, 3)}, got {shape}")

    @contextmanager
    def _lane(self) -> Iterator[_Lane]:
        lane = self._lanes.get()
        try:
            yield lane
        finally:
            self._lanes.put(lane)


@dataclass(frozen=True, slots=True)
class _Lane:
    """Where one frame's answers go, again and again: the graph writes straight into what the reduction reads."""

    binding: Any
    logits: F32  # (M, C, h, w)
    embedding: F32  # (D,)
    box_terms: F32  # (4, h, w); (0, h, w) where no boxes are asked for

    def run(self, session: Any, pixels: NDArray[np.uint8]) -> None:
        self.binding.bind_cpu_input(FRAMES, np.ascontiguousarray(pixels[None]))
        with errors_as("the ensemble's graph: expected it to run"):
            session.run_with_iobinding(self.binding)


class _Sizes(NamedTuple):
    """How much a frame's answers are."""

    logits: tuple[int, int, int, int]  # (M, C, h, w)
    embedding: int  # D
    box_terms: int  # 4 or 0


def _open_lane(session: Any, sizes: _Sizes) -> _Lane:
    shapes = (sizes.logits, (sizes.embedding,), (sizes.box_terms, *sizes.logits[2:]))
    lane = _Lane(session.io_binding(), *(np.zeros(shape, np.float32) for shape in shapes))
    for a, logits_chw in enumerate(lane.logits):
        _bind(lane.binding, fused_logits(a), logits_chw)
    if sizes.embedding:
        _bind(lane.binding, EMBEDDING, lane.embedding)
    if sizes.box_terms:
        _bind(lane.binding, BOX_TERMS, lane.box_terms)
    return lane


def _bind(binding: Any, name: str, values: F32) -> None:
    binding.bind_output(name, "cpu", 0, np.float32, (1, *values.shape), values.ctypes.data)


def _try_black_frame(ensemble: Ensemble, session: Any, *, is_enlarged: bool) -> _Sizes:
    """Run the graph once, to know the sizes of what it answers.

    is_enlarged: whether the logits are, where they are scored at full size.
    """
    spec = ensemble.spec
    with errors_as(f"{ensemble.path}: expected networks that run on a frame of {spec.frame_size}"):
        answers = session.run(None, {FRAMES: np.zeros((1, *spec.frame_size, 3), np.uint8)})
    box_terms = answers.pop() if spec.boxes is not UNSET else None
    embedding = answers.pop() if embedding_name(ensemble) else np.empty((1, 0), np.float32)
    if embedding.ndim != 2:
        raise EnsembleError(
            f"{ensemble.path} members[{spec.embedding_member}].output.embedding: expected a vector (N, D) a frame, "
            f"got {embedding.shape}; name a pooled tensor"
        )
    answered = answers[0].shape[2:]
    size = spec.frame_size if spec.resolution == "full" and spec.grid else answered
    wanted = (1, len(spec.classes), *(size if is_enlarged else answered))
    for (m, *_), logits in zip(spec.answers, answers, strict=True):
        where = f"{ensemble.path} members[{m}] ({spec.members[m].file})"
        if logits.shape != wanted:
            raise EnsembleError(
                f"{where}: expected {spec.resolution} logits of {wanted}, got {logits.shape}; members are averaged "
                "position by position and need one size"
            )
        if spec.activation_of(spec.members[m]) == "probabilities" and not np.isfinite(logits).all():
            raise EnsembleError(f"{where}: {unfit(spec, m)} on a black frame; mend `output.activation`")
    height, width = size
    if spec.grid and (height < spec.grid.rows or width < spec.grid.columns):
        raise EnsembleError(
            f"{ensemble.path} regions: expected at most {height} rows and {width} columns, as many as there are "
            f"positions, got {spec.grid.rows} and {spec.grid.columns}; make the grid coarser"
        )
    if box_terms is not None and box_terms.shape[2:] != size:
        raise EnsembleError(
            f"{ensemble.path} boxes.member: expected a member that answers at {size} positions, where the ensemble is "
            f"scored, got {box_terms.shape[2:]}; name the one with the finest answers"
        )
    return _Sizes((len(answers), *answers[0].shape[1:]), embedding.shape[1], 0 if box_terms is None else 4)
