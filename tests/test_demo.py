"""The demo as a newcomer meets it: a process in a terminal, the last line a report, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.streaming.running import wait_for
from tests.test_cli import FLEETSIFT, fleetsift, refused

pytestmark = pytest.mark.slow

COMMAND = [*FLEETSIFT, "demo", "--frames", "160", "--out"]


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a finished demo, which was its second run there, and what the second run said."""
    folder = tmp_path_factory.mktemp("demo") / "output"
    for _ in range(2):
        done = subprocess.run([*COMMAND, str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_the_last_line_is_the_report(toured: tuple[Path, list[str]]) -> None:
    folder, lines = toured
    assert lines[-1] == str(folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "40" in page
    assert page.count("data:image/webp;base64,") >= 40


def test_it_says_what_happens(toured: tuple[Path, list[str]]) -> None:
    said = "\n".join(toured[1])
    for what in ("160 frames of 4 sessions", "embedded broker", "two workers", "ok 160", "picked 20 of 160 frames"):
        assert what in said
    assert said.count("┌") == 3  # three answers


def test_every_frame_is_one_row_and_the_cap_holds(toured: tuple[Path, list[str]]) -> None:
    folder, _ = toured
    query = "SELECT count(*) AS rows, count(DISTINCT frame_id) AS frames, min(members) AS members FROM rows"
    answer = fleetsift("sql", folder / "scores", query, "--format", "json")
    assert json.loads(answer.stdout) == {"rows": 160, "frames": 160, "members": 5}
    sessions = [line.split(",")[2] for line in (folder / "batch" / "batch.csv").read_text().splitlines()[1:]]
    assert max(map(sessions.count, sessions)) == 5


def test_the_readme_python_is_true(toured: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = toured
    readme = Path(__file__).parents[1] / "README.md"
    [program] = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(program.replace("demo-output", str(folder)), str(readme), "exec"), {})
    hardest, picked, first = capsys.readouterr().out.split()
    assert (picked, hardest.startswith("fs-"), first.startswith("fs-")) == ("20", True, True)


def test_the_readme_query_is_true(toured: tuple[Path, list[str]]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [query] = re.findall(r'fleetsift sql scores "(.*?)"', readme)
    answer = fleetsift("sql", toured[0] / "scores", query, "--format", "json").stdout.splitlines()
    assert len(answer) == 4


def test_the_report_is_looked_at_in_a_browser(toured: tuple[Path, list[str]], tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine; Debian's package is `chromium`")
    shot = tmp_path / "report.png"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path}/profile", "--window-size=1280,7200", f"--screenshot={shot}"]
    subprocess.run([*command, (toured[0] / "report.html").as_uri()], check=True, capture_output=True, timeout=600)
    pixels = np.asarray(Image.open(shot).convert("RGB"))
    assert pixels.shape == (7200, 1280, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 5000  # not blank: text, bars, frames and heat


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "expected a new or empty folder" in refused("demo", "--out", tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("line", "delay_s"),
    [("drawing", 2.0), ("starting a local Ray", 1.5), (r" [2-9]\.\d s   starting 2 workers", 1.0)],
    ids=["drawing", "ray", "workers"],
)
def test_ctrl_c_leaves_no_process_behind(tmp_path: Path, line: str, delay_s: float) -> None:
    """SIGINT goes to the whole foreground group, as a terminal sends it."""
    with subprocess.Popen(
        [*COMMAND, str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as demo:
        assert demo.stdout is not None
        while not re.search(line, demo.stdout.readline()):
            assert demo.poll() is None
        time.sleep(delay_s)
        family = [demo.pid, *(child.pid for child in psutil.Process(demo.pid).children(recursive=True))]
        os.killpg(demo.pid, signal.SIGINT)
        said = demo.stdout.read()
        assert demo.wait() == 130, said
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in family))
    assert "interrupted" in said
