"""Whatever size an ensemble is scored at, it can show every pixel: its logits enlarged, and not its probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetsift.engines.engine import Engine, UncertaintyMaps
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.ensembles.full_size import at_full_size
from fleetsift.engines.open import open_ensemble
from fleetsift.engines.runtimes.cuda import open_bound_engine
from fleetsift.engines.runtimes.sessions import CPU
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble

ENDS_AT_ITS_STRIDE = {"full": "native", "native": "native"}
PROBABILITIES = {**ENDS_AT_ITS_STRIDE, "activation": "probabilities"}
CELLS = {"task": "detection_heatmap"}
SMALLER = {"height": 8, "width": 12}


def drawn(folder: Path, members: list[Drawn], **changes: Any) -> Ensemble:
    folder.mkdir()
    return read_ensemble(write_ensemble(folder, members, **changes))


def on_cpu(ensemble: Ensemble) -> Engine:
    return open_ensemble(ensemble, threads=1)


def on_device(ensemble: Ensemble) -> Engine:
    return open_bound_engine(ensemble, CPU, batch=1)


def maps_of(engine: Engine) -> UncertaintyMaps:
    try:
        return engine.maps(draw_frames(1)[0])
    finally:
        engine.close()


@pytest.mark.parametrize("opener", [on_cpu, on_device])
@pytest.mark.parametrize(
    ("members", "changes", "shown"),
    [
        ([{}, {"stride": 4}], {}, {}),
        ([{}, {"spec": {"output": ENDS_AT_ITS_STRIDE}}], {}, {}),
        ([{"stride": 4}, {}], {"output": ENDS_AT_ITS_STRIDE}, {"output": {"full": "logits"}}),
        ([{}, {"activation": "Softmax", "spec": {"output": PROBABILITIES}}], {}, {}),
        ([{}, {"activation": "Sigmoid", "spec": {"output": PROBABILITIES}}], CELLS, CELLS),
    ],
    ids=["enlarge themselves", "one does not", "none does", "softmax at its stride", "sigmoid at its stride"],
)
def test_maps_are_those_of_logits_that_were_enlarged(
    tmp_path: Path, opener: Any, members: list[dict[str, Any]], changes: dict[str, Any], shown: dict[str, Any]
) -> None:
    native = drawn(tmp_path / "native", [Drawn(m, **said) for m, said in enumerate(members)], **changes)
    same = [Drawn(m, stride=said.get("stride", 2)) for m, said in enumerate(members)]
    full = drawn(tmp_path / "full", same, **{"resolution": "full", **shown})
    found, expected = maps_of(opener(at_full_size(native))), maps_of(on_cpu(full))
    assert expected.entropy.shape == (16, 24)
    np.testing.assert_allclose(found.entropy, expected.entropy, atol=1e-5)
    np.testing.assert_allclose(found.mutual_information, expected.mutual_information, atol=1e-5)
    np.testing.assert_allclose(found.entropy_by_class, expected.entropy_by_class, atol=1e-5)
    assert maps_of(on_cpu(native)).entropy.shape == (8, 12)


def test_a_smaller_member_is_brought_to_the_frame(tmp_path: Path) -> None:
    smaller: dict[str, Any] = {"size": (8, 12), "spec": {"input": SMALLER, "output": ENDS_AT_ITS_STRIDE}}
    native = drawn(tmp_path / "native", [Drawn(0), Drawn(1, **smaller)])
    assert maps_of(on_cpu(at_full_size(native))).mutual_information.shape == (16, 24)


def test_what_is_full_already_or_has_no_size_stays(tmp_path: Path) -> None:
    full = drawn(tmp_path / "full", [Drawn()], resolution="full")
    classifier = drawn(tmp_path / "one", [Drawn(pooled=True)], task="classification", resolution="full")
    assert at_full_size(full) is full
    assert at_full_size(classifier) is classifier
