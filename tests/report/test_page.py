"""The page: whole in one file, harmless whatever a fleet writes into its names."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fleetsift.errors import ConfigError
from fleetsift.report import wording
from fleetsift.report.facts import ReportFacts
from fleetsift.report.page import render_page
from fleetsift.report.write import write_report
from tests.report.drawn_fleet import HOSTILE


class Elements(HTMLParser):
    """Every element of a page, with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(facts: ReportFacts) -> str:
    return render_page(facts)


def test_nothing_is_fetched_and_nothing_is_run(page: str) -> None:
    elements = Elements(page)
    for tag, attributes in elements.found:
        assert tag not in {"script", "iframe", "object", "embed", "form", "base"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), f"{tag} {name}={address}"
        assert "url(" not in (attributes.get("style") or "")
    style = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"url\(|@import|//", style)
    policy = next(a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_hostile_names_are_text(page: str) -> None:
    assert "<script>" not in page
    assert "<img src=//evil" not in page
    assert HOSTILE in Elements(page).text


def test_every_section_has_its_content(page: str, facts: ReportFacts) -> None:
    elements = Elements(page)
    ids = {attributes.get("id") for _, attributes in elements.found}
    assert {"gains", "scores", "balance", "areas", "map", "rules", "picks", "origin"} <= ids
    assert {f"pick-{pick.rank}" for pick in facts.picks} <= ids
    tags = [tag for tag, _ in elements.found]
    assert tags.count("article") == tags.count("details") - 2 == facts.headline.batch_size
    assert tags.count("svg") == len(facts.scores) + len(facts.measures) + 1
    assert tags.count("img") == 2 * sum(pick.drawing is not None for pick in facts.picks)
    text = " ".join(elements.text.split())
    for sentence in (
        "24 of 300 frames to label",
        "Captured from 3 to 5 May 2026, scored by the 4 networks of drawn-0123456789ab;",
        "this report was made on 9 May 2026.",
        "6 fewer than the budget of 30. At the end cap session_id alone kept out 41 frames.",
        "At most 3 of one session",
        "None of 2 cameras reached it: the batch would be the same without.",
        "Disputed more than all others",
        "missing: nothing at frames/lost.jpg",
        "nats and more, the same scale in every frame",
    ):
        assert sentence in text


def test_every_picture_is_described_and_lazy(page: str) -> None:
    pictures = [attributes for tag, attributes in Elements(page).found if tag == "img"]
    assert all(p["alt"] and p["loading"] == "lazy" and p["width"] == "240" and p["height"] == "180" for p in pictures)


def test_ids_are_unique(page: str) -> None:
    ids = [attributes["id"] for _, attributes in Elements(page).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_batch_without_anything_to_show_still_has_its_page(facts: ReportFacts) -> None:
    head = replace(facts.headline, batch_size=0, captured_from=None, captured_to=None, blocked_by=(), members=1)
    bare = replace(
        facts, headline=head, picks=(), gains=(), scores=(), balances=(), measures=(), caps=(),
        areas=(), embedding_map=None, rules=(), heat_scale=None,
    )  # fmt: skip
    text = " ".join(Elements(render_page(bare)).text.split())
    assert "Scored by one network of" in text
    assert "No other frame of the pool could be picked." in text


def test_a_report_replaces_an_earlier_one_whole(facts: ReportFacts, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, facts)
    write_report(path, replace(facts, headline=replace(facts.headline, title="another")))
    assert "<title>another</title>" in path.read_text(encoding="utf-8")
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


def test_a_place_that_takes_no_file_is_refused_in_one_line(facts: ReportFacts, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"folder: the report cannot be written, .+; choose another place$"):
        write_report(tmp_path / "folder", facts)
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0123456, "0.0123"), (0.5, "0.5"), (12.34, "12.3"), (1234.5, "1,234"), (2e9, "2e+09"), (0, "0")],
)
def test_numbers_have_three_figures(value: float, written: str) -> None:
    assert wording.number(value) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0 %"), (0.0004, "<0.1 %"), (0.05, "5 %"), (0.0512, "5.1 %"), (0.512, "51 %"), (0.0999, "10 %"), (1, "100 %")],
)
def test_shares_are_percent(share: float, written: str) -> None:
    assert wording.percent(share) == written


def test_a_share_of_the_pool_is_never_overstated() -> None:
    assert [wording.portion(share) for share in (0.999, 1)] == ["99 % of the pool", "all others"]


@pytest.mark.parametrize(
    ("expression", "title"),
    [
        ("mutual_information.mean", "Mutual information"),
        ("session_id", "Session"),
        ("metadata.speed_kmh", "Speed kmh"),
        ('metadata."a""b"', 'A"b'),
        ("entropy.mean * 2", "entropy.mean * 2"),
    ],
)
def test_expressions_have_names(expression: str, title: str) -> None:
    assert wording.name(expression) == title


@pytest.mark.parametrize(
    ("last", "written"),
    [
        (datetime(2026, 5, 3, 20, tzinfo=UTC), "on 3 May 2026"),
        (datetime(2026, 5, 9, tzinfo=UTC), "from 3 to 9 May 2026"),
        (datetime(2026, 6, 1, tzinfo=UTC), "from 3 May 2026 to 1 June 2026"),
    ],
)
def test_a_period_says_what_it_shares_once(last: datetime, written: str) -> None:
    assert wording.period(datetime(2026, 5, 3, 7, tzinfo=UTC), last) == written
