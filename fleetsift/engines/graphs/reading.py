"""From what a graph of `reduction` answered to rows: what is broken is named, boxes are compared with each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleetsift.engines.formulas.boxes import find_boxes, object_scores
from fleetsift.engines.formulas.independent import probabilities
from fleetsift.engines.graphs.answers import unfit
from fleetsift.engines.graphs.fuse import EMBEDDING
from fleetsift.engines.graphs.reduction import (
    BOX_FACTS,
    BY_CLASS,
    EQUAL,
    MEMBER_ENTROPIES,
    REGION_ARGMAX,
    REGIONS,
    STATISTICS,
)
from fleetsift.engines.rows import FrameRow
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.scores import F32, REGION_QUANTITIES
from fleetsift.schemas.status import Problem, Status


def read_rows(spec: EnsembleSpec, answers: Mapping[str, F32]) -> list[FrameRow | Problem]:
    """The row of each frame from what a graph of `fuse_scores` answered; a problem where that is not finite."""
    return [_row(spec, {name: values[i] for name, values in answers.items()}) for i in range(len(answers[STATISTICS]))]


def find_broken(spec: EnsembleSpec, answer: Mapping[str, F32]) -> Problem | None:
    """What is not finite in the networks' answers to one frame, named by member and file.

    answer: MEMBER_ENTROPIES (M,) and, if there are such, EMBEDDING (D,) and BOX_FACTS (9, h, w).
    """
    finite = np.isfinite(answer[MEMBER_ENTROPIES])
    if not finite.all():
        m = spec.answers[int(finite.argmin())].member
        what = unfit(spec, m)
    elif EMBEDDING in answer and not np.isfinite(answer[EMBEDDING]).all():
        m, what = spec.embedding_member, "expected a finite embedding, got NaN or infinity"
    elif BOX_FACTS in answer and spec.boxes is not UNSET and not np.isfinite(answer[BOX_FACTS]).all():
        m, what = spec.boxes.member, "expected finite box terms, got NaN or infinity"
    else:
        return None
    return Problem(Status.NON_FINITE, f"members[{m}] ({spec.members[m].file}): {what}")


def _row(spec: EnsembleSpec, answer: Mapping[str, F32]) -> FrameRow | Problem:
    return find_broken(spec, answer) or FrameRow(
        statistics=answer[STATISTICS].astype(np.float64),
        by_class=answer[BY_CLASS].astype(np.float64),
        regions=answer.get(REGIONS, np.empty((len(REGION_QUANTITIES), 0))).astype(np.float64),
        embedding=answer.get(EMBEDDING, np.empty(0, np.float32)),
        objects=_objects(spec, answer),
        equal=answer[EQUAL].astype(np.float64) if EQUAL in answer else None,
        region_argmax=answer[REGION_ARGMAX].astype(np.float64) if REGION_ARGMAX in answer else None,
    )


def _objects(spec: EnsembleSpec, answer: Mapping[str, F32]) -> NDArray[np.float64] | None:
    if spec.boxes is UNSET or BOX_FACTS not in answer:
        return None
    terms, (logit, *others) = answer[BOX_FACTS][:4], answer[BOX_FACTS][4:]
    facts = np.stack([probabilities(logit)[0], *others])
    return object_scores(find_boxes(terms, facts, spec.boxes, spec.input_of(spec.members[spec.boxes.member])))
