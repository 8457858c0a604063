"""Advice on a store: the sample, the sensor list, the words, the verb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleetsift.advice.advise import advise, write_sensor_list
from fleetsift.advice.sample import PoolRows, draw_sample
from fleetsift.advice.sensor import list_sensor_frames
from fleetsift.advice.words import COLUMNS, describe_advice
from fleetsift.errors import ConfigError, SelectionError
from fleetsift.schemas.scores import Statistic
from fleetsift.schemas.selection import Labelled, SelectionSpec
from fleetsift.selectors.select import select_batch
from fleetsift.store.views import ScoreStore
from tests.report.drawn_fleet import FRAMES, drawn_scores, references, write_store
from tests.test_cli import fleetsift, refused

WET = range(40, 52)  # frames that it rained on: every member is unsure by itself, and the members agree


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreStore]:
    """The drawn fleet, with rain on a lens for twelve frames."""
    scores = drawn_scores()
    rain = np.zeros(FRAMES, np.float32)
    rain[WET] = 0.6

    def rained_on(unsure: Statistic) -> Statistic:
        return Statistic(unsure.mean + rain, unsure.max + rain, unsure.top + rain)

    scores = replace(scores, entropy=rained_on(scores.entropy), expected_entropy=rained_on(scores.expected_entropy))
    with write_store(tmp_path_factory.mktemp("store"), references(), scores) as opened:
        yield opened


def test_a_sample_is_of_whole_sessions_and_the_same_again(store: ScoreStore) -> None:
    rows = PoolRows(store, SelectionSpec())
    everybody = draw_sample(rows)
    assert (len(everybody), everybody.pool_frames, everybody.pool_sessions, everybody.share) == (FRAMES, FRAMES, 12, 1)
    some = draw_sample(rows, most=120)
    assert len(some) == 120
    sizes = dict(store.sql("SELECT session_id, count(*) FROM frames GROUP BY 1").fetchall())
    drawn = some.session_id.to_pylist()
    assert sum(drawn.count(session) < sizes[session] for session in set(drawn)) <= 1
    assert draw_sample(rows, most=120).frame_id == some.frame_id


def test_labels_and_filter_count(store: ScoreStore, tmp_path: Path) -> None:
    (first,) = store.sql("SELECT min(frame_id) FROM frames").fetchall()[0]
    (tmp_path / "labelled.txt").write_text(f"{first}\n")
    labelled = Labelled(frames=(str(tmp_path / "labelled.txt"),), sessions=("2026-05-03-morning",))
    sample = draw_sample(PoolRows(store, SelectionSpec(where="camera = 'front'", labelled=labelled)))
    (expected,) = store.sql(
        "SELECT count(*) FROM frames WHERE camera = 'front' AND session_id <> '2026-05-03-morning' AND frame_id <> $1",
        [first],
    ).fetchall()[0]
    assert len(sample) == sample.pool_frames == expected
    for where, message in (
        ("camera = 'no'", "expected two scored frames or more"),
        ("(SELECT true)", "got a subquery"),
    ):
        with pytest.raises(SelectionError, match=message):
            draw_sample(PoolRows(store, SelectionSpec(where=where)))


def test_sensor_frames_are_those_of_the_condition_and_a_filter_leaves_them_out(store: ScoreStore) -> None:
    found = list_sensor_frames(PoolRows(store, SelectionSpec()))
    rows = store.sql(
        "SELECT frame_id, expected_entropy.mean, mutual_information.mean / entropy.mean FROM frames ORDER BY 1"
    ).fetchall()
    high, low = np.quantile([row[1] for row in rows], 0.9), np.quantile([row[2] for row in rows], 0.5)
    expected = {frame_id for frame_id, expected, share in rows if expected > high * 1.001 and share < low * 0.999}
    listed = {frame.frame_id for frame in found.frames}
    assert {f"frame-{n:04d}" for n in WET} == expected <= listed
    assert len(listed) == found.count == sum(count for _, count in found.sessions)
    rest = draw_sample(PoolRows(store, SelectionSpec(where=f"NOT ({found.condition})")))
    assert not listed & set(rest.frame_id.to_pylist())
    assert len(rest) == FRAMES - found.count


def test_the_words_say_what_the_advice_rests_on_and_whose_word_it_is(store: ScoreStore) -> None:
    advice = advise(store, SelectionSpec(budget=30))
    chosen, distinct = advice.recommendation, advice.redundancy.distinct
    assert (chosen.strategy, chosen.redundant, chosen.small_budget) == ("bald", False, False)
    text = describe_advice(advice, "here/fleet.yaml")
    for line in (
        "300 frames of 12 sessions in the pool of drawn-0123456789ab",
        "Recommended: bald",
        f"  pool    {distinct / 300:.1%} of its frames are distinct: diverse, not below 60%",
        f"  budget  30 is {30 / distinct:.1%} of its distinct frames: large, not below 5%",
        "  fleetsift select here/fleet.yaml --strategy bald --budget 30 --out batch",
        f"  where: NOT ({advice.sensor.condition})",
    ):
        assert line in text.splitlines()
    assert "fleetsift's own reading: they are not that paper's table." in " ".join(text.split())
    assert max(map(len, text.splitlines()[:-1])) <= COLUMNS


def test_a_selection_keeps_the_sensor_list_out_by_its_file_or_by_its_condition(
    store: ScoreStore, tmp_path: Path
) -> None:
    sensor = advise(store, SelectionSpec()).sensor
    write_sensor_list(tmp_path / "sensor.txt", sensor)
    listed = {frame.frame_id for frame in sensor.frames}
    everybody = SelectionSpec(budget=FRAMES, constraints=())
    assert listed < {pick.frame_id for pick in select_batch(store, everybody).picks}
    by_file = msgspec.structs.replace(everybody, exclude=(str(tmp_path / "sensor.txt"),))
    by_condition = msgspec.structs.replace(everybody, where=f"NOT ({sensor.condition})")
    picks = {pick.frame_id for pick in select_batch(store, by_file).picks}
    assert len(picks) == FRAMES - len(listed)
    assert not picks & listed
    assert {pick.frame_id for pick in select_batch(store, by_condition).picks} == picks
    assert advise(store, by_file).pool_frames == len(picks)


def test_one_network_is_asked_how_unsure_it_is_and_has_no_sensor_list(tmp_path: Path) -> None:
    with write_store(tmp_path, references(), drawn_scores(), members=1) as alone:
        advice = advise(alone, SelectionSpec(budget=30))
        (mean,) = alone.sql("SELECT avg(entropy.mean) FROM frames").fetchall()[0]
    assert advice.recommendation.strategy == "entropy"
    by = {row.strategy: row.score for row in advice.redundancy.budgets if row.budget == 90}
    assert by.keys() == {"random", "entropy", "coreset"}
    assert by["entropy"] > mean > 0.05
    assert advice.sensor.count == 0
    text = describe_advice(advice, "scores")
    assert "mean entropy in thousandths of a nat" in " ".join(text.split())
    assert "One network has nobody to agree with." in text


def test_a_store_without_embeddings_hears_what_is_missing(tmp_path: Path) -> None:
    scores = replace(drawn_scores(), embedding=np.zeros((FRAMES, 0), np.float32))
    with (
        write_store(tmp_path, references(), scores) as bare,
        pytest.raises(SelectionError, match=r"^advise: expected embeddings, drawn-0123456789ab has none; name the"),
    ):
        advise(bare, SelectionSpec())


def test_the_verb_takes_a_store_or_a_configuration(store: ScoreStore, tmp_path: Path) -> None:
    config = tmp_path / "fleet.yaml"
    config.write_text(
        f"kafka: {{brokers: ['localhost:9092'], topic: fleet}}\nframes: {{roots: [.]}}\nensemble: e.yaml\n"
        f"store: {{path: {store.path}}}\nselection: {{budget: 7, where: \"camera = 'front'\"}}\n"
    )
    sensor = tmp_path / "sensor.txt"
    of_store = json.loads(fleetsift("advise", store.path, "--json", "--sensor", sensor).stdout)
    assert (of_store["pool_frames"], of_store["budget"]) == (FRAMES, 100)
    assert len(sensor.read_text().splitlines()) == len(of_store["sensor"]["frames"])
    of_config = json.loads(fleetsift("advise", config, "--json").stdout)
    assert of_config["pool_frames"] < FRAMES
    assert of_config["budget"] == 7
    assert "Recommended: " in fleetsift("advise", config, "--budget", "9").stdout
    assert "expected a score store" in refused("advise", tmp_path / "nothing")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_sensor_list(tmp_path, advise(store, SelectionSpec()).sensor)
