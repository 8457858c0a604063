"""A run begins with a proof: the ensemble that fleet.yaml names is held to its reference before a frame is scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import pytest
import ray

from fleetsift.errors import EnsembleError
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.kafka.topic import create_topic
from tests.engines.drawn_networks import Drawn, write_ensemble
from tests.streaming.conftest import fill

NewFleet = Callable[..., FleetSpec]


def fleet_of(new_fleet: NewFleet, ensemble: Path, *, half: bool = False) -> FleetSpec:
    workers = WorkersSpec(batch=4, threads=1, runtime=RuntimeSpec(half=half))
    return msgspec.structs.replace(new_fleet(partitions=1, workers=workers), ensemble=str(ensemble))


def test_members_that_never_disagree_are_refused_before_ray_starts(new_fleet: NewFleet, tmp_path: Path) -> None:
    spec = fleet_of(new_fleet, write_ensemble(tmp_path, [Drawn(0), Drawn(0)]))
    create_topic(spec.kafka)
    with pytest.raises(EnsembleError, match="mutual_information: expected members that disagree"):
        run_fleet(spec, until_end=True, stop=Event())
    assert not ray.is_initialized()
    assert not Path(spec.store.path).exists()


def test_scores_that_are_too_far_off_in_float16_are_refused(new_fleet: NewFleet, tmp_path: Path) -> None:
    loud = [Drawn(2, gain=400.0), Drawn(3, gain=400.0)]  # logits so large that their rounding shows
    create_topic((spec := fleet_of(new_fleet, write_ensemble(tmp_path, loud), half=True)).kafka)
    with pytest.raises(EnsembleError, match=r"parity: expected every score within 0\.02 .* another precision"):
        run_fleet(spec, until_end=True, stop=Event())


def test_rows_of_float16_are_rows_of_their_own(new_fleet: NewFleet, tmp_path: Path) -> None:
    """What a worker scores in float16 is found by its id, beside what was scored in float32; the newest is `frames`."""
    ensemble = write_ensemble(tmp_path, [Drawn(0), Drawn(1)])
    spec = fleet_of(new_fleet, ensemble)
    fill(spec, range(8))
    halved = msgspec.structs.replace(spec, workers=fleet_of(new_fleet, ensemble, half=True).workers)
    assert run_fleet(spec, until_end=True, stop=Event()).rows == {"ok": 8}
    assert run_fleet(halved, until_end=True, stop=Event()).rows == {"ok": 8}
    with ScoreStore(spec.store.path) as store:
        ids = store.sql("SELECT ensemble, count(*) FROM rows GROUP BY 1 ORDER BY 1").fetchall()
        [(newest, count)] = store.sql("SELECT ensemble, count(*) FROM frames GROUP BY 1").fetchall()
    assert [count for _, count in ids] == [8, 8]
    assert ids[1][0] == f"{ids[0][0]}-fp16" == newest
    assert count == 8
