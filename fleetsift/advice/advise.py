"""Advice on a store: how redundant its pool is, which strategy that asks for, and which frames ask for a clean lens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleetsift.advice.recommend import Recommendation, recommend
from fleetsift.advice.redundancy import Redundancy, measure_redundancy
from fleetsift.advice.sample import PoolRows, draw_sample
from fleetsift.advice.sensor import SensorList, list_sensor_frames
from fleetsift.errors import ConfigError
from fleetsift.schemas.selection import SelectionSpec
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.store.views import ScoreStore


@dataclass(frozen=True, slots=True)
class Advice:
    """What was measured, and what follows from it."""

    ensemble_id: str
    pool_frames: int
    pool_sessions: int
    looked_at: int  # frames, of whole sessions
    budget: int
    labelled: int
    redundancy: Redundancy
    recommendation: Recommendation
    sensor: SensorList


def advise(store: ScoreStore, spec: SelectionSpec) -> Advice:
    """Measure the pool of a specification and advise on its budget; of the rest of it only filter and labels count.

    Of a pool of more than 10,000 frames a sample is compared, whole sessions drawn by a hash of their names.
    Raises SelectionError where the pool is empty, has no embeddings, or its filter is refused.
    """
    rows = PoolRows(store, spec)
    sample = draw_sample(rows)
    redundancy = measure_redundancy(sample, max(2, round(spec.budget * sample.share)))
    labelled = len(read_labelled(spec.labelled.frames) | set(read_rounds(spec.continues)))
    return Advice(
        ensemble_id=store.ensemble_id,
        pool_frames=sample.pool_frames,
        pool_sessions=sample.pool_sessions,
        looked_at=len(sample),
        budget=spec.budget,
        labelled=labelled,
        redundancy=redundancy,
        recommendation=recommend(redundancy, spec.budget, labelled, sample.pool_frames),
        sensor=list_sensor_frames(rows),
    )


def write_sensor_list(path: Path, sensor: SensorList) -> None:
    """Write the listed frames' ids, one a line; raises ConfigError where the file cannot be written."""
    try:
        path.write_text("".join(f"{frame.frame_id}\n" for frame in sensor.frames), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written, {error.strerror}; choose another place") from error
