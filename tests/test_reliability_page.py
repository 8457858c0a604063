"""The page of faults names tests that exist, one row a fault, and the README counts as it does."""

from __future__ import annotations

import re
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PAGE = (HOUSE / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)


def test_every_fault_has_its_row() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 38))


def test_every_test_it_names_exists() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (HOUSE / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 37
    assert not {name for name in named if f"def {name}(" not in sources}


def test_a_row_names_a_test_or_says_that_it_was_not_run() -> None:
    assert not [
        number for number, row in ROWS if "`test_" not in row and "not run" not in row and "the same" not in row
    ]


def test_the_readme_counts_as_the_page_does() -> None:
    readme = (HOUSE / "README.md").read_text(encoding="utf-8")
    [(shown, of)] = re.findall(r"(\d+) of the (\d+) faults", readme)
    assert int(of) == len(ROWS)
    whole = [row for _, row in ROWS if ("`test_" in row or "the same" in row) and "in part" not in row]
    assert int(shown) == len(whole)
