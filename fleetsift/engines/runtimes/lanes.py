"""Where frames are answered on the CPU: a lane is the room of one frame in work, written to again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetsift.engines.compiled.reduction import Sums, room_for_sums
from fleetsift.engines.graphs.fuse import BOX_TERMS, EMBEDDING, FRAMES
from fleetsift.engines.runtimes.sessions import errors_as
from fleetsift.schemas.scores import F32


class Sizes(NamedTuple):
    """How much a frame's answers are."""

    logits: tuple[int, int, int, int]  # (M, C, h, w)
    embedding: int  # D
    box_terms: int  # 4 or 0


@dataclass(frozen=True, slots=True)
class Lane:
    """The sessions write straight into what the reduction reads."""

    turns: tuple[tuple[Any, Any], ...]  # sessions, each with its binding
    logits: F32  # (members of a turn, C, h, w)
    sums: Sums  # of no positions, where there is one turn
    embedding: F32  # (D,)
    box_terms: F32  # (4, h, w); (0, h, w) where no boxes are asked for

    def answers(self, pixels: NDArray[np.uint8]) -> Iterator[F32]:
        """The logits of a frame (H, W, 3), turn by turn in the same place; the rest is there with them."""
        frame = np.ascontiguousarray(pixels[None])
        for session, binding in self.turns:
            binding.bind_cpu_input(FRAMES, frame)
            with errors_as("the ensemble's graph: expected it to run"):
                session.run_with_iobinding(binding)
            yield self.logits


def open_lane(sessions: Sequence[Any], sizes: Sizes) -> Lane:
    """A lane through sessions that answer in this order."""
    members, classes, height, width = sizes.logits
    together, alone = members // len(sessions), len(sessions) == 1
    logits = np.zeros((together, classes, height, width), np.float32)
    sums = room_for_sums(members, classes, 0 if alone else height * width)
    embedding = np.zeros(sizes.embedding, np.float32)
    box_terms = np.zeros((sizes.box_terms, height, width), np.float32)
    others = {EMBEDDING: embedding, BOX_TERMS: box_terms}
    turns = tuple((session, _bind(session, logits, others)) for session in sessions)
    return Lane(turns, logits, sums, embedding, box_terms)


def _bind(session: Any, logits_mchw: F32, others: Mapping[str, F32]) -> Any:
    """Where a session's answers go: the logits one after another, the rest by name."""
    binding, places = session.io_binding(), iter(logits_mchw)
    for output in session.get_outputs():
        values = others[output.name] if output.name in others else next(places)
        binding.bind_output(output.name, "cpu", 0, np.float32, (1, *values.shape), values.ctypes.data)
    return binding
