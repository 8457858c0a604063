"""The bundled ensemble: whole, really trained, and less agreed where it learned less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby, pairwise

import numpy as np
import pytest

from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.demo.examples import Examples, class_iou, count_agreement, draw_examples
from fleetsift.demo.fleet import simulate_fleet
from fleetsift.demo.world import CLASSES, Event, Theme, TimeOfDay, Weather
from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.open import open_engine
from fleetsift.schemas.frames import FrameBatch
from fleetsift.schemas.scores import F32, FrameScores

FRESH_SEED = 91  # drives that neither the demo nor the training knows
DAY = Theme(TimeOfDay.DAY, Weather.CLEAR)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = open_engine(demo_ensemble(), threads=1)
    yield engine
    engine.close()


def draw(theme: Theme, count: int = 15) -> Examples:
    return draw_examples({theme: 1.0}, count, FRESH_SEED)


def score(engine: Engine, images: np.ndarray) -> FrameScores:
    return engine.score(FrameBatch(images, (None,) * len(images)))


def test_every_network_is_the_one_the_file_names() -> None:
    ensemble = read_ensemble(demo_ensemble())  # raises where a hash, a size or a tensor differs
    assert ensemble.spec.classes == CLASSES
    assert ensemble.spec.resolution == "native"
    assert len(ensemble.networks) >= 4


def test_the_files_are_small_enough_to_commit() -> None:
    sizes = [file.stat().st_size for file in demo_ensemble().parent.glob("*.onnx")]
    assert max(sizes) < 300_000
    assert sum(sizes) < 1_500_000


def test_the_record_tells_of_every_member() -> None:
    record = json.loads((demo_ensemble().parent / "training.json").read_text(encoding="utf-8"))
    assert len(record["members"]) == len(record["plan"]["seeds"]) == len(read_ensemble(demo_ensemble()).networks)
    assert all(member["iou"]["day"]["mean"] > 0.6 for member in record["members"])


def test_it_segments_fresh_days(engine: Engine) -> None:
    agreement = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    examples = draw(DAY)
    for image, labels in zip(examples.images, examples.labels, strict=True):
        agreement += count_agreement(engine.maps(image).argmax, labels[2::4, 2::4])
    iou = dict(zip(CLASSES, class_iou(agreement), strict=True))
    assert min(iou["sky"], iou["building"], iou["road"]) > 0.85
    assert np.nanmean(list(iou.values())) > 0.6


@pytest.mark.parametrize(
    "theme",
    [Theme(TimeOfDay.NIGHT, Weather.CLEAR), Theme(TimeOfDay.NIGHT, Weather.RAIN), Theme(TimeOfDay.DAY, Weather.RAIN)],
    ids=lambda theme: f"{theme.time_of_day} {theme.weather}",
)
def test_it_disagrees_more_where_it_learned_less(engine: Engine, theme: Theme) -> None:
    plain, rare = (score(engine, draw(kind).images).mutual_information.mean.mean() for kind in (DAY, theme))
    assert rare > 1.25 * plain


def test_it_disagrees_about_bicycles(engine: Engine) -> None:
    bicycle = CLASSES.index("bicycle")
    plain, ride = (
        score(engine, draw(theme).images).by_class.mutual_information[:, bicycle].mean()
        for theme in (DAY, Theme(TimeOfDay.DAY, Weather.CLEAR, Event.BICYCLES))
    )
    assert ride > 1.5 * plain


def test_embeddings_tell_sessions_apart(engine: Engine) -> None:
    frames = list(simulate_fleet(seed=FRESH_SEED, sessions=5, frames_per_session=4))
    sessions: list[F32] = [
        score(engine, np.stack([frame.image for frame in run])).embedding
        for _, run in groupby(frames, key=lambda frame: frame.message.session_id)
    ]
    within = [np.linalg.norm(a - b) for session in sessions for a, b in pairwise(session)]
    between = [np.linalg.norm(a[0] - b[0]) for a, b in pairwise(sessions)]
    assert 2 * np.median(within) < np.median(between)
