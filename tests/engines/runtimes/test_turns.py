"""An engine whose members answer one after another says what one does that has all their logits at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peak import peak_mib
from benchmarks.toy import write_toys
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.runtimes.onnx import OnnxEngine
from fleetsift.engines.truth.parity import measure_parity
from fleetsift.errors import FrameError
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.status import Status
from tests.engines.closeness import assert_close
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble

VIEWS = {"views": ["identity", "hflip"]}


@pytest.mark.parametrize(
    ("members", "changes"),
    [
        ([Drawn(m) for m in range(5)], {"embedding_member": 3}),
        ([Drawn(m) for m in range(3)], VIEWS),
        ([Drawn(0, dropout=0.5, spec={"passes": 4})], VIEWS),
    ],
    ids=["members", "views", "passes and views"],
)
def test_scores_and_maps_are_true(tmp_path: Path, members: list[Drawn], changes: dict[str, Any]) -> None:
    ensemble = read_ensemble(write_ensemble(tmp_path, members, **changes))
    in_turns, at_once = OnnxEngine(ensemble, 2, at_once_bytes=0), OnnxEngine(ensemble, 2)
    frames = draw_frames(5)
    batch = FrameBatch(frames, (None,) * len(frames))
    assert measure_parity(in_turns, ensemble, frames).holds
    assert_close(in_turns.score(batch), at_once.score(batch))
    maps, expected = in_turns.maps(frames[0]), at_once.maps(frames[0])
    np.testing.assert_allclose(maps.mutual_information_by_class, expected.mutual_information_by_class, atol=1e-6)
    for engine in (in_turns, at_once):
        engine.close()


def test_a_member_that_answers_infinity_is_named(tmp_path: Path) -> None:
    members = [Drawn(m, breaks_on_white=m == 2) for m in range(4)]
    engine = OnnxEngine(read_ensemble(write_ensemble(tmp_path, members)), 1, at_once_bytes=0)
    frames = draw_frames(3)
    frames[1] = 255
    scores = engine.score(FrameBatch(frames, (None,) * 3))
    [problem] = [problem for problem in scores.problems if problem]
    assert problem.status is Status.NON_FINITE
    assert "members[2] (drawn_2.onnx)" in problem.reason
    assert np.isfinite(scores.entropy.mean[[0, 2]]).all()
    with pytest.raises(FrameError, match="expected finite logits"):
        engine.maps(frames[1])
    engine.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_members_that_answer_at_full_size(tmp_path: Path) -> None:
    """Eight more members have 2 x 76 MiB of logits more, a thread each; what is kept of them are their votes."""
    few, many = (write_toys(tmp_path, members, (256, 512), "full", refines=True) for members in (4, 12))
    assert peak_mib(many, "engine") - peak_mib(few, "engine") < 40
