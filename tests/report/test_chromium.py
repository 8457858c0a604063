"""The page as a real browser shows it: not blank, every section there, wide or narrow, on paper, nothing fetched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleetsift.report.facts import ReportFacts
from fleetsift.report.write import write_report

QUIET = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # Chromium itself would like to telephone
]

# Measures the page where it is shown; what it finds is the title of the window before the window has loaded.
PROBE = """<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach(details => details.open = true);
  const sections = [...document.querySelectorAll("section")];
  parent.document.title = JSON.stringify({
    page: document.documentElement.scrollWidth,
    window: innerWidth,
    sections: Object.fromEntries(sections.map(section => [section.id, section.getBoundingClientRect().height])),
    undecoded: [...document.images].filter(picture => !picture.naturalWidth).length,
    fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^data:/.test(name)),
    scripts: document.scripts.length,
    title: document.title,
  });
});
</script>"""

# A headless window is never narrower than 500 pixels; a frame in it may be.
WINDOW = """<!doctype html><iframe src="probed.html" width="{width}" height="900" style="border:0"></iframe>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def report(facts: ReportFacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, facts)
    return path


@pytest.fixture(scope="module")
def compared_report(compared: ReportFacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compared") / "report.html"
    write_report(path, compared)
    return path


def browse(chromium: str, page: Path, profile: Path, *flags: str) -> str:
    """Open a page once, in a profile of its own; what Chromium prints."""
    command = [chromium, *QUIET, f"--user-data-dir={profile}", *flags, page.as_uri()]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium's sandbox refuses to run as root
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout


def test_the_page_is_a_picture(chromium: str, report: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    browse(chromium, report, tmp_path, "--window-size=1280,2400", f"--screenshot={shot}")
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (2400, 1280, 3)
    bands = pixels.reshape(8, 300, 1280, 3)
    assert (bands.std(axis=(1, 2, 3)) > 4).all(), "a band of the page is blank"
    accent = (abs(pixels.astype(int) - (13, 110, 104)) < 3).all(axis=-1)
    assert accent.mean() > 0.002


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_there_nothing_overflows_nothing_is_fetched(
    chromium: str, report: Path, tmp_path: Path, width: int
) -> None:
    sections = ["gains", "scores", "balance", "areas", "map", "rules", "picks", "origin"]
    expect_whole(chromium, report, tmp_path, width, sections)


def test_two_batches_side_by_side_fit_a_phone(chromium: str, compared_report: Path, tmp_path: Path) -> None:
    sections = ["gains", "comparison", "scores", "balance", "areas", "map", "rules", "picks", "origin"]
    expect_whole(chromium, compared_report, tmp_path, 390, sections)


def expect_whole(chromium: str, report: Path, tmp_path: Path, width: int, sections: list[str]) -> None:
    page = report.read_text(encoding="utf-8")
    # Without the policy the probe may run, and only escaping stands between a hostile name and a script or a request.
    policy = re.search(r"<meta http-equiv=.*>\n", page)
    assert policy is not None
    probed = page.replace(policy[0], "").replace('loading="lazy"', "").replace("</body>", PROBE + "</body>")
    (tmp_path / "probed.html").write_text(probed, encoding="utf-8")
    window = tmp_path / "window.html"
    window.write_text(WINDOW.format(width=width), encoding="utf-8")
    dom = browse(chromium, window, tmp_path, "--window-size=1400,900", "--allow-file-access-from-files", "--dump-dom")
    title = re.search(r"<title>(.*)</title>", dom)
    assert title is not None, "the probe found nothing to say"
    found = json.loads(title[1])
    assert (found["window"], found["page"]) == (width, width)
    assert list(found["sections"]) == sections
    assert all(height > 100 for height in found["sections"].values())
    assert found["undecoded"] == 0
    assert found["fetched"] == []
    assert (found["scripts"], found["title"]) == (1, "24 of 300 frames")


def test_the_page_prints(chromium: str, report: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    browse(chromium, report, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    pdf = paper.read_bytes()
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 4 <= pages <= 12
    assert pdf.count(b"/Subtype /Image") >= 40
