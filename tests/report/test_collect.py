"""What the page will say is what store and selection say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fleetsift.errors import QueryError, SelectionError
from fleetsift.report.balances import MOST_ROWS, balance
from fleetsift.report.collect import collect
from fleetsift.report.facts import ReportFacts
from fleetsift.report.page import render_page
from fleetsift.report.pool import Pool, quote
from fleetsift.schemas.selection import Cap, Labelled, Score
from tests.report.drawn_fleet import ENSEMBLE, FRAMES, HOSTILE, Fleet
from tests.report.test_page import Elements


def test_the_headline(facts: ReportFacts) -> None:
    assert (facts.headline.batch_size, facts.headline.pool_size, facts.headline.budget, facts.headline.shortfall) == (
        24,
        FRAMES,
        30,
        6,
    )
    assert facts.headline.blocked_by == ((("cap session_id",), 41),)
    assert facts.headline.title == "24 of 300 frames"
    assert (facts.headline.ensemble_id, facts.headline.members) == (ENSEMBLE, 4)
    assert facts.origin.snapshot == (("fleet@", "0", FRAMES),)
    assert json.loads(facts.origin.specification)["budget"] == 30
    assert facts.headline.captured_from is not None
    assert facts.headline.captured_from.isoformat() == "2026-05-03T07:30:00+00:00"


def test_rules_that_kept_out_together_are_told_apart_the_most_first(fleet: Fleet) -> None:
    odd = Cap(key="CASE WHEN metadata.night and camera = 'rear' THEN 1 END", most=9)
    spec = msgspec.structs.replace(fleet.selection.spec, constraints=(*fleet.selection.spec.constraints, odd))
    blocked = {"cap session_id": 4, odd.name: 9, "cap session_id and cap camera": 7}
    facts = collect(fleet.store, replace(fleet.selection, spec=spec, blocked_by=blocked), fleet.picture)
    assert facts.headline.blocked_by == (
        ((odd.name,), 9),
        (("cap session_id", "cap camera"), 7),
        (("cap session_id",), 4),
    )
    text = " ".join(Elements(render_page(facts)).text.split())
    assert "and cap session_id and cap camera together kept out 7 frames, and cap session_id alone kept out 4" in text


def test_the_batch_gained_what_it_was_picked_for(facts: ReportFacts) -> None:
    mean, top, distance = facts.gains
    assert mean.batch > 2 * mean.baseline
    assert top.batch > 2 * top.baseline
    assert distance.against == "24 frames drawn at random"
    assert distance.batch > 0


def test_every_key_is_balanced_and_every_number_is_a_histogram(facts: ReportFacts) -> None:
    assert [b.key for b in facts.balances] == ["session_id", "vehicle_id", "camera", "metadata.city", "metadata.night"]
    assert [measure.name for measure in facts.measures] == ["metadata.speed_kmh", "metadata.lanes"]
    assert [score.name for score in facts.scores] == [
        "mutual_information.mean",
        "mutual_information.top",
        "entropy.mean",
    ]


def test_shares_of_a_balance_sum_to_one(facts: ReportFacts) -> None:
    for found in facts.balances:
        rows = [row for _, row in found.rows] + ([found.rest] if found.rest else [])
        assert sum(row.pool for row in rows) == FRAMES
        assert sum(row.batch for row in rows) == facts.headline.batch_size
        assert sum(row.pool_share for row in rows) == pytest.approx(1)
        assert sum(row.batch_share for row in rows) == pytest.approx(1)


def test_rare_values_are_summed_up_and_missing_ones_have_their_row(facts: ReportFacts, fleet: Fleet) -> None:
    sessions, _, cameras, cities, _ = facts.balances
    assert len(sessions.rows) == MOST_ROWS
    assert sessions.rest is not None
    assert sessions.pool_values == 12
    assert sessions.batch_values == len({pick.session_id for pick in fleet.selection.picks})
    assert {value for value, _ in cameras.rows} == {"front", "rear", None}
    assert cameras.pool_values == 2
    assert {value for value, _ in cities.rows} == {"Lyon", "Graz", "Porto", HOSTILE, None}


def test_a_key_nobody_gives_is_not_shown(fleet: Fleet) -> None:
    assert balance(Pool(fleet.store, fleet.selection), "NULL") is None


def test_caps_say_what_they_kept_out(facts: ReportFacts, fleet: Fleet) -> None:
    by_session, by_camera = facts.caps
    picked = Counter(pick.session_id for pick in fleet.selection.picks)
    full = [session for session, count in picked.items() if count == 3]
    assert by_session.reached == len(full)
    assert by_session.values == 12
    (pool_of_full,) = fleet.store.sql(
        "SELECT count(*) FROM frames WHERE list_contains($1::VARCHAR[], session_id)", [full]
    ).fetchall()[0]
    assert by_session.kept_out == pool_of_full - 3 * len(full)
    assert {row.value for row in by_session.rows} <= set(full)
    assert all(row.picked == 3 for row in by_session.rows)
    assert (by_camera.reached, by_camera.kept_out, by_camera.rows, by_camera.values) == (0, 0, (), 2)


def test_receipts_follow_the_picks(facts: ReportFacts, fleet: Fleet) -> None:
    assert [pick.frame_id for pick in facts.picks] == [pick.frame_id for pick in fleet.selection.picks]
    first, second, third, *_ = facts.picks
    assert first.of_frame.above == 1
    assert first.nearest is None
    assert (second.nearest, second.nearest_rank, second.distance) == (first.frame_id, 1, 1.5)
    assert third.turn == "person"
    assert dict(second.factors) == pytest.approx({"mutual_information.top": second.value / 1.5, "diversity": 1.5})
    assert dict(second.of_frame.scores)["mutual_information.top"] == pytest.approx(second.value / 1.5)
    assert {key for key, _ in third.of_frame.metadata} == {"city", "night", "speed_kmh", "lanes"}
    assert second.of_frame.captured_at is not None


def test_a_receipt_says_what_every_rule_had_left(fleet: Fleet) -> None:
    pick = replace(
        fleet.selection.picks[1],
        room_left={"session_id": 2},
        apart_s={"vehicle_id": 4.5},
        margins={"threshold entropy.mean": 0.25},
        owed={"quota camera = rear": 3},
    )
    facts = collect(fleet.store, replace(fleet.selection, picks=(pick,)), fleet.picture)
    assert facts.picks[0].rules == (
        ("Room left", "2 for this session"),
        ("In time", "4.5 s from the nearest earlier pick of this vehicle"),
        ("Margin", "0.25 to threshold entropy.mean"),
        ("Pays", "quota camera = rear, 3 owed after it"),
    )
    page = render_page(facts)
    assert all(f"<dt>{title}</dt><dd>{words}</dd>" in page for title, words in facts.picks[0].rules)


def test_a_frame_without_picture_says_why(facts: ReportFacts) -> None:
    lost, *others = facts.picks
    assert lost.drawing is None
    assert lost.no_drawing == "missing: nothing at frames/lost.jpg"
    assert all(pick.drawing is not None and pick.no_drawing is None for pick in others)
    assert facts.heat_scale == pytest.approx(0.4, abs=0.1)


def test_a_large_batch_shows_its_first_picks(fleet: Fleet) -> None:
    facts = collect(fleet.store, fleet.selection, fleet.picture, most_pictures=5)
    assert len(facts.picks) == 5
    assert facts.headline.batch_size == 24


def test_the_pool_is_the_selections_pool(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "labelled.txt").write_text("frame-0200\n")
    (tmp_path / "sensor.txt").write_text("frame-0201\nframe-0202\n")
    spec = msgspec.structs.replace(
        fleet.selection.spec,
        where="NOT metadata.night -- a comment\n",
        exclude=(str(tmp_path / "sensor.txt"),),
        labelled=Labelled(frames=(str(tmp_path / "labelled.txt"),), sessions=("2026-05-04-morning",)),
        objectives=(Score(expression="entropy.mean * 2"),),
    )
    everything = dict(fleet.store.sql("SELECT frame_id, metadata.night FROM frames").fetchall())
    assert not any(everything[name] for name in ("frame-0200", "frame-0201", "frame-0202"))
    picks = [p for p in fleet.selection.picks if not everything[p.frame_id] and p.session_id != "2026-05-04-morning"]
    selection = replace(fleet.selection, spec=spec, picks=tuple(picks))
    pool = Pool.of(fleet.store, selection)
    expected = "SELECT count(*) FROM frames WHERE NOT metadata.night AND session_id <> '2026-05-04-morning'"
    assert pool.ask_one("SELECT count(*) FROM pool")[0] == fleet.store.sql(expected).fetchall()[0][0] - 3
    facts = collect(fleet.store, selection, fleet.picture)
    assert facts.scores[-1].name == "entropy.mean * 2"


def test_an_empty_batch_has_a_report(fleet: Fleet) -> None:
    facts = collect(fleet.store, replace(fleet.selection, picks=(), shortfall=30), fleet.picture)
    assert (facts.headline.batch_size, facts.picks, facts.gains, facts.heat_scale) == (0, (), (), None)


def test_another_ensembles_batch_is_refused(fleet: Fleet) -> None:
    with pytest.raises(SelectionError, match=r"ensemble_id: expected drawn-.*, got other-1"):
        collect(fleet.store, replace(fleet.selection, ensemble_id="other-1"), fleet.picture)


def test_a_pick_the_store_does_not_have_is_refused(fleet: Fleet) -> None:
    stranger = replace(fleet.selection.picks[0], frame_id="nobody's")
    with pytest.raises(SelectionError, match=r"1 are none, the first \"nobody's\""):
        collect(fleet.store, replace(fleet.selection, picks=(stranger,)), fleet.picture)


def test_sql_that_fails_is_one_line(fleet: Fleet) -> None:
    spec = msgspec.structs.replace(fleet.selection.spec, where="no_such_column = 1")
    with pytest.raises(QueryError, match=r"^query: [^\n]+$"):
        collect(fleet.store, replace(fleet.selection, spec=spec), fleet.picture)


def test_odd_metadata_keys_are_quoted() -> None:
    assert [quote(key) for key in ("city", "Größe", 'a"b', "1st", "Wet")] == [
        "city",
        '"Größe"',
        '"a""b"',
        '"1st"',
        '"Wet"',
    ]
