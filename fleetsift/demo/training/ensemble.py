"""The whole of it: examples drawn, members trained and judged, the ensemble and its record written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fleetsift.demo.examples import draw_examples
from fleetsift.demo.export import write_ensemble
from fleetsift.demo.training.judging import measure_information, member_iou, verify_export
from fleetsift.demo.training.learning import TRAINING_SEED, Plan, train_member
from fleetsift.demo.training.module import fold
from fleetsift.demo.world import CLASSES, Event, Theme, TimeOfDay, Weather

VALIDATION_SEED = 30_000  # no drive of the demo's fleet, nor one that was learnt from, is among those drawn from it

DAY = Theme(TimeOfDay.DAY, Weather.CLEAR)
NIGHT = Theme(TimeOfDay.NIGHT, Weather.CLEAR)
RAIN = Theme(TimeOfDay.DAY, Weather.RAIN)
BICYCLES = Theme(TimeOfDay.DAY, Weather.CLEAR, Event.BICYCLES)

# What a fleet that mostly drives by day has labels for.
TRAINING_MIX = {
    DAY: 0.50,
    Theme(TimeOfDay.DAY, Weather.OVERCAST): 0.22,
    Theme(TimeOfDay.DAY, Weather.CLEAR, Event.RED_LIGHT): 0.08,
    Theme(TimeOfDay.DAY, Weather.OVERCAST, Event.CROWD): 0.04,
    Theme(TimeOfDay.DUSK, Weather.CLEAR): 0.06,
    NIGHT: 0.03,
    RAIN: 0.03,
    BICYCLES: 0.04,
}
CONDITIONS = {
    "day": DAY,
    "dusk": Theme(TimeOfDay.DUSK, Weather.CLEAR),
    "night": NIGHT,
    "rain": RAIN,
    "bicycles": BICYCLES,
}


@dataclass(frozen=True, slots=True)
class Record:
    """What training.json keeps."""

    plan: Plan
    made_on: str
    torch_version: str
    seconds: float
    members: list[dict[str, Any]]
    information: dict[str, dict[str, float]]
    export_difference_nats: float
    classes: tuple[str, ...] = field(default=CLASSES)


def train_ensemble(plan: Plan, folder: Path, say: Callable[[str], None] = print) -> Record:
    """Draw the examples, train every member, write the ensemble and its record into a folder; `say` hears of each."""
    began = time.monotonic()
    torch.set_num_threads(1)
    examples = draw_examples(TRAINING_MIX, plan.frames, TRAINING_SEED)
    conditions = {
        name: draw_examples({theme: 1.0}, plan.validation_frames, VALIDATION_SEED + index)
        for index, (name, theme) in enumerate(CONDITIONS.items())
    }
    networks, members = [], []
    for seed in plan.seeds:
        begin = time.monotonic()
        network = train_member(plan, seed, examples)
        iou = {name: member_iou(network, drawn) for name, drawn in conditions.items()}
        members.append({"seed": seed, "seconds": round(time.monotonic() - begin, 1), "iou": _by_class(iou)})
        networks.append(network)
        say(f"member {seed}: mIoU " + ", ".join(f"{name} {np.nanmean(of):.3f}" for name, of in iou.items()))
    ensemble = write_ensemble(folder, [fold(network) for network in networks])
    record = Record(
        plan=plan,
        made_on=datetime.now(UTC).date().isoformat(),
        torch_version=torch.__version__,
        seconds=round(time.monotonic() - began, 1),
        members=members,
        information=measure_information(ensemble, conditions),
        export_difference_nats=verify_export(ensemble, networks, conditions["day"].images[0]),
    )
    (folder / "training.json").write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    return record


def _by_class(iou: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, float | None]]:
    """IoU by condition and class, and their mean; a class that neither occurs nor is predicted has none."""
    named = {name: [("mean", np.nanmean(values)), *zip(CLASSES, values, strict=True)] for name, values in iou.items()}
    return {
        name: {what: None if np.isnan(value) else round(float(value), 4) for what, value in values}
        for name, values in named.items()
    }
