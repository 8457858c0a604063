"""Class areas, the embedding map, balanced keys, what rules did, and two batches side by side."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fleetsift.report.areas import class_areas
from fleetsift.report.balances import balance
from fleetsift.report.collect import Other, collect
from fleetsift.report.embedding_map import embedding_map, principal_plane
from fleetsift.report.facts import ReportFacts
from fleetsift.report.page import render_page
from fleetsift.report.pool import Pool
from fleetsift.report.rules import rule_facts
from fleetsift.schemas.selection import Balance, Constraint, Gap, Guard, Quota, Selection, Target, Threshold
from tests.report.drawn_fleet import CLASSES, FRAMES, HOSTILE, Fleet
from tests.report.test_page import Elements


def asking(fleet: Fleet, **changes: object) -> Pool:
    return Pool(fleet.store, replace(fleet.selection, **changes), [])  # type: ignore[arg-type]


def test_areas_are_the_means_of_each_side(fleet: Fleet) -> None:
    found = class_areas(asking(fleet), "area", "uniform")
    assert found is not None
    assert {row.name for row in found.rows} == set(CLASSES)
    picks = [pick.frame_id for pick in fleet.selection.picks]
    for row in found.rows:
        means = f"avg(area.{row.name}), avg(area.{row.name}) FILTER (WHERE frame_id IN (SELECT unnest($1)))"
        everybody, picked = fleet.store.sql(f"SELECT {means} FROM frames", [picks]).fetchall()[0]
        assert [row.pool, row.batch] == pytest.approx([everybody, picked])
        assert row.other is None
        assert row.wanted == pytest.approx(1 / 3)
    assert class_areas(asking(fleet), "no_column") is None
    assert class_areas(asking(fleet), "session_id") is None


def test_the_map_shows_everybody_once_and_is_the_same_again(fleet: Fleet, facts: ReportFacts) -> None:
    found = facts.embedding_map
    assert found is not None
    assert len(found.pool) + len(found.picks) == FRAMES
    assert {dot.frame_id: dot.rank for dot in found.picks} == {p.frame_id: p.rank for p in fleet.selection.picks}
    places = [*found.pool, *((dot.x, dot.y) for dot in found.picks)]
    assert all(-1e-9 <= x <= 1 + 1e-9 and -1e-9 <= y <= found.height + 1e-9 for x, y in places)
    assert embedding_map(Pool(fleet.store, fleet.selection, [])) == found
    labelled = [fleet.selection.picks[0].frame_id]
    assert len(getattr(embedding_map(Pool(fleet.store, fleet.selection, labelled)), "labelled", ())) == 1


@given(arrays(np.float64, st.tuples(st.integers(3, 12), st.integers(1, 6)), elements=st.integers(-9, 9).map(float)))
def test_the_plane_is_that_of_most_variance_and_has_one_sign(points: np.ndarray) -> None:
    centre, axes, explained = principal_plane(points)
    assert axes.shape == (2, points.shape[1])
    variances = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(points.T, bias=True))))[::-1]
    along = ((points - centre) @ axes.T).var(axis=0).sum()
    assert along == pytest.approx(variances[:2].sum(), abs=1e-8)
    assert explained == pytest.approx(variances[:2].sum() / variances.sum() if variances.sum() > 1e-12 else 1)
    for axis in axes:
        assert axis[np.abs(axis).argmax()] >= 0


def test_a_balanced_key_shows_what_was_wanted(fleet: Fleet) -> None:
    pool = asking(fleet)
    cases: list[tuple[Target, dict[str, float]]] = [
        ("uniform", {"front": 0.5, "rear": 0.5}),
        ({"front": 3.0, "rear": 1.0, "none": 7.0}, {"front": 0.75, "rear": 0.25}),
    ]
    for target, wanted in cases:
        found = balance(pool, "camera", target)
        assert found is not None
        assert {value: row.wanted_share for value, row in found.rows if value} == wanted
        assert {row.wanted_share for value, row in found.rows if value is None} == {0.0}
    own = balance(pool, "camera", "pool")
    assert own is not None
    assert sum(row.wanted_share or 0 for _, row in own.rows) == pytest.approx(1)


def test_every_balanced_key_is_on_the_page_even_a_number(fleet: Fleet) -> None:
    keys = ["metadata.lanes", "left(session_id, 7)"]
    spec = msgspec.structs.replace(fleet.selection.spec, objectives=tuple(Balance(key=key) for key in keys))
    facts = collect(fleet.store, replace(fleet.selection, spec=spec), fleet.picture)
    assert {found.key for found in facts.balances if found.target} == set(keys)
    assert "balanced towards as much of every value" in Elements(render_page(facts)).text


@pytest.mark.parametrize(
    ("rule", "title", "outcome", "binding"),
    [
        (Gap(least_s=2), "At least 2 s between picks of one session", "It kept out 7 frames, 3 of them together", True),
        (Threshold(expression="entropy.mean", most=0.5), "Entropy at most 0.5", "It kept nobody out", False),
        (Threshold(expression="entropy.mean", least=0), "Entropy at least 0", "It kept nobody out", False),
        (Guard(least=0.25), "At least 0.25 away from every frame of the test set", "all of them together", False),
        (Quota(key="camera", value="rear", least=400), "At least 400 of camera rear", "It lacks 390", True),
        (Quota(key="camera", value="front", least=1), "At least 1 of camera front", "It holds: ", False),
    ],
)
def test_a_rule_is_said_in_words(fleet: Fleet, rule: Constraint, title: str, outcome: str, binding: bool) -> None:
    blocked = {"gap session_id": 4, "gap session_id and guard": 3}
    pool = asking(fleet, blocked_by=blocked, owed={"quota camera = rear": 390})
    found = rule_facts(pool, rule)
    assert found is not None
    assert (found.title, found.binding) == (title, binding)
    assert outcome in found.outcome


@pytest.mark.parametrize(
    ("kept_out", "why"),
    [
        (
            {"cap session_id": 6, "budget": 1200},
            "picked, cap session_id kept out 6 and the budget ended before 1,200 more.",
        ),
        ({}, "picked, and the pool holds no more."),
    ],
)
def test_a_quota_that_does_not_hold_says_what_kept_its_frames_out(
    fleet: Fleet, kept_out: dict[str, int], why: str
) -> None:
    quota = Quota(key="camera", value="rear", least=400)
    found = rule_facts(asking(fleet, owed={quota.name: 390}, owed_for={quota.name: kept_out}), quota)
    assert found is not None
    assert found.outcome.endswith(why)


def test_two_batches_are_compared(compared: ReportFacts, other: Selection) -> None:
    beside = compared.comparison
    assert beside is not None
    assert (beside.size, beside.common, beside.only_count, beside.strangers) == (9, 8, 1, 0)
    assert [field for field, _, _ in beside.differences] == ["budget", "seed"]
    assert beside.only == (other.picks[8].frame_id,)
    for gain in compared.gains:
        assert gain.other is not None
    for histogram in (*compared.scores, *compared.measures):
        assert histogram.other is not None
        assert sum(histogram.other) == pytest.approx(1)
    for found in compared.balances:
        rows = [row for _, row in found.rows] + ([found.rest] if found.rest else [])
        assert sum(row.other for row in rows) == 9
    assert compared.embedding_map is not None
    sides = [dot.side for dot in compared.embedding_map.picks]
    assert (sides.count("common"), sides.count("batch"), sides.count("other")) == (8, 16, 1)


def test_picks_that_are_no_candidates_here_are_counted(fleet: Fleet, other: Selection) -> None:
    stranger = replace(other, picks=(*other.picks, replace(other.picks[0], frame_id="nobody")))
    facts = collect(fleet.store, fleet.selection, fleet.picture, other=Other("b", stranger))
    assert facts.comparison is not None
    assert facts.comparison.strangers == 1
    assert "1 of its picks is no candidate" in Elements(render_page(facts)).text


def test_a_compared_page_is_harmless_and_says_both(compared: ReportFacts) -> None:
    page = render_page(compared)
    assert "<script>" not in page
    text = " ".join(Elements(page).text.split())
    assert f"Beside {HOSTILE}" in text
    assert "8 of 24 picks are also in" in text
    assert "16 only here 8 in both 1 only there" in text


def test_what_a_store_lacks_is_no_section(facts: ReportFacts) -> None:
    page = render_page(replace(facts, areas=(), embedding_map=None, caps=(), rules=(), measures=()))
    ids = {attributes.get("id") for _, attributes in Elements(page).found}
    assert not ids & {"areas", "map", "rules", "comparison"}
    owed = render_page(replace(facts, headline=replace(facts.headline, owed=(("quota camera = rear", 2),))))
    assert "A quota does not hold. quota camera = rear lacks 2." in " ".join(Elements(owed).text.split())
