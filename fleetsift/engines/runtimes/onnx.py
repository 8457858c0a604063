"""An ensemble on ONNX Runtime, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import onnx
from msgspec import UNSET
from numpy.typing import NDArray

from fleetsift.engines.compiled.consistency import equal_scores
from fleetsift.engines.compiled.frame_scores import frame_row
from fleetsift.engines.compiled.reduction import Reduced, reduce_in_turns, reduce_logits
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
from fleetsift.engines.graphs.parts import MOST_AT_ONCE_BYTES, outputs_in_turn, part_of
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.runtimes.described import Described
from fleetsift.engines.runtimes.lanes import Lane, Sizes, open_lane
from fleetsift.engines.runtimes.sessions import errors_as, open_session
from fleetsift.errors import EnsembleError, FrameError
from fleetsift.schemas.ensemble import Answer
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores
from fleetsift.schemas.status import Problem, Status


class OnnxEngine(Described):
    """An ensemble as one graph on ONNX Runtime's CPU provider, with the compiled reduction behind it.

    As many frames are in work at once as there are threads, each from pixels to row in one thread: no thread waits
    for another inside a network, and a row cannot depend on its batch or on the number of threads. Memory grows with
    the threads, by the logits of one frame each; batches smaller than the threads leave some idle. Scored at full
    size, the logits are enlarged by the reduction, a few rows of one member at a time, wherever that is the same. Where
    networks answer with large logits themselves, members answer one after another, and each is reduced before the next.
    """

    def __init__(
        self, ensemble: Ensemble, threads: int, *, half: bool = False, at_once_bytes: int = MOST_AT_ONCE_BYTES
    ) -> None:
        """Build and try the graph. Raises MissingExtra without ONNX Runtime, EnsembleError where the graph fails.

        half: networks in float16, which a CPU imitates slowly: to know what a GPU's float16 does to scores.
        at_once_bytes: of more logits of a frame, the members answer one after another.
        """
        self.spec = ensemble.spec
        self._id = scores_id(ensemble.ensemble_id, half=half)
        whole = imitate_half(ensemble) if half else ensemble
        shortened = left_to_reduction(whole)
        fused = fuse(shortened or whole)
        turns = outputs_in_turn(self.spec, fused, math.inf if shortened else at_once_bytes)
        sessions = [_open_turn(fused, names, ensemble, alone=len(turns) == 1) for names in turns]
        sizes = _try_black_frame(ensemble, sessions, is_enlarged=shortened is None)
        self._enlargement = enlarge_linearly(sizes.logits[2:], self.frame_size) if shortened else AS_ANSWERED
        self._embedding_size = sizes.embedding
        self._lanes: SimpleQueue[Lane] = SimpleQueue()
        for _ in range(threads):
            self._lanes.put(open_lane(sessions, sizes))
        # What is compiled, or its machine code loaded, is so before the first frame waits for it.
        self._row(np.zeros((*self.frame_size, 3), np.uint8), None)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")

    @property
    def ensemble_id(self) -> str:
        """Names everything that changes a number."""
        return self._id

    def score(self, frames: FrameBatch) -> FrameScores:
        """Score a batch, as `Engine.score` promises."""
        self.check_size(frames.pixels.shape[1:])
        rows = list(self._pool.map(self._row, frames.pixels, frames.problems))
        return self.gather(rows, self._embedding_size)

    def maps(self, frame: NDArray[np.uint8]) -> UncertaintyMaps:
        """The maps behind one frame's scores, as `Engine.maps` promises."""
        self.check_size(frame.shape)
        with self._lane() as lane:
            reduced = self._reduce(lane, frame, class_maps=True)
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
            distances: list[NDArray[np.float64]] = []
            reduced = self._reduce(lane, pixels, distances if self.spec.compares_views else None)
            if problem := self._broken(reduced, lane):
                return problem
            row = frame_row(reduced, lane.embedding, self.spec.grid, self.spec.top_share)
            equal = np.mean(distances, axis=0) if distances else None
            return replace(row, objects=self._objects(lane), equal=equal)

    def _objects(self, lane: Lane) -> NDArray[np.float64] | None:
        """What the boxes in a frame say, where the ensemble file says how they are found."""
        boxes = self.spec.boxes
        if boxes is UNSET:
            return None
        p, _ = probabilities(lane.logits[self.spec.answers.index(Answer(boxes.member, 0, "identity"))])
        found = find_boxes(lane.box_terms, class_facts(p), boxes, self.spec.input_of(self.spec.members[boxes.member]))
        return object_scores(found)

    def _reduce(
        self,
        lane: Lane,
        pixels: NDArray[np.uint8],
        distances: list[NDArray[np.float64]] | None = None,
        *,
        class_maps: bool = False,
    ) -> Reduced:
        """From pixels to what is said of their positions, and of the views of each turn where that is asked for."""

        def answers() -> Iterator[F32]:
            for logits in lane.answers(pixels):
                if distances is not None:
                    distances.append(equal_scores(logits, self._enlargement))
                yield logits

        if len(lane.turns) > 1:
            return reduce_in_turns(answers(), lane.sums, class_maps=class_maps)
        [logits] = answers()
        return reduce_logits(logits, class_maps=class_maps, task=self.spec.task, enlargement=self._enlargement)

    def _broken(self, reduced: Reduced, lane: Lane) -> Problem | None:
        """What is not finite in the networks' answers to a frame, named by member and file."""
        if not reduced.finite.all():
            m = self.spec.answers[int(reduced.finite.argmin())].member
            what = unfit(self.spec, m)
        elif not np.isfinite(lane.embedding).all():
            m, what = self.spec.embedding_member, "expected a finite embedding, got NaN or infinity"
        elif self.spec.boxes is not UNSET and not np.isfinite(lane.box_terms).all():
            m, what = self.spec.boxes.member, "expected finite box terms, got NaN or infinity"
        else:
            return None
        return Problem(Status.NON_FINITE, f"members[{m}] ({self.spec.members[m].file}): {what}")

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._lanes.get()
        try:
            yield lane
        finally:
            self._lanes.put(lane)


def _open_turn(fused: onnx.ModelProto, names: list[str], ensemble: Ensemble, *, alone: bool) -> Any:
    return open_session(fused if alone else part_of(fused, names), str(ensemble.path), shares_memory=not alone)


def _try_black_frame(ensemble: Ensemble, sessions: Sequence[Any], *, is_enlarged: bool) -> Sizes:
    """Run the graph once, to know the sizes of what it answers.

    is_enlarged: whether the logits are, where they are scored at full size.
    """
    spec = ensemble.spec
    answers: dict[str, _Seen] = {}
    for session in sessions:
        with errors_as(f"{ensemble.path}: expected networks that run on a frame of {spec.frame_size}"):
            values = session.run(None, {FRAMES: np.zeros((1, *spec.frame_size, 3), np.uint8)})
        names = [output.name for output in session.get_outputs()]
        answers |= {name: _Seen(v.shape, bool(np.isfinite(v).all())) for name, v in zip(names, values, strict=True)}
    embedding = answers[EMBEDDING].shape if embedding_name(ensemble) else (1, 0)
    if len(embedding) != 2:
        raise EnsembleError(
            f"{ensemble.path} members[{spec.embedding_member}].output.embedding: expected a vector (N, D) a frame, "
            f"got {embedding}; name a pooled tensor"
        )
    answered = answers[fused_logits(0)].shape
    size = spec.frame_size if spec.resolution == "full" and spec.grid else answered[2:]
    wanted = (1, len(spec.classes), *(size if is_enlarged else answered[2:]))
    for a, (m, *_) in enumerate(spec.answers):
        where, logits = f"{ensemble.path} members[{m}] ({spec.members[m].file})", answers[fused_logits(a)]
        if logits.shape != wanted:
            raise EnsembleError(
                f"{where}: expected {spec.resolution} logits of {wanted}, got {logits.shape}; members are averaged "
                "position by position and need one size"
            )
        if spec.activation_of(spec.members[m]) == "probabilities" and not logits.is_finite:
            raise EnsembleError(f"{where}: {unfit(spec, m)} on a black frame; mend `output.activation`")
    height, width = size
    if spec.grid and (height < spec.grid.rows or width < spec.grid.columns):
        raise EnsembleError(
            f"{ensemble.path} regions: expected at most {height} rows and {width} columns, as many as there are "
            f"positions, got {spec.grid.rows} and {spec.grid.columns}; make the grid coarser"
        )
    box_terms = answers.get(BOX_TERMS)
    if box_terms and box_terms.shape[2:] != size:
        raise EnsembleError(
            f"{ensemble.path} boxes.member: expected a member that answers at {size} positions, where the ensemble is "
            f"scored, got {box_terms.shape[2:]}; name the one with the finest answers"
        )
    _, classes, *positions = answered
    return Sizes((len(spec.answers), classes, positions[0], positions[1]), embedding[1], 4 if box_terms else 0)


class _Seen(NamedTuple):
    """What an answer to a frame was like."""

    shape: tuple[int, ...]
    is_finite: bool
