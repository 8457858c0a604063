"""Prometheus itself: it tests the alerts, scrapes a run, and answers every panel of the dashboard."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetsift.schemas.fleet import OperationsSpec
from fleetsift.streaming.meter import BOUNDS
from fleetsift.streaming.operations.metrics import serve_metrics
from fleetsift.streaming.progress import Readings, RunProgress
from tests.deploy.test_watching import DASHBOARD, DEPLOY, RULES
from tests.streaming.operations.test_metrics import free_port

CONFIGURATION = DEPLOY / "prometheus" / "prometheus.yml"
_WAIT_S = 300.0  # on a crowded machine


def tool(name: str) -> str:
    """Where a program of Prometheus is; skips where it is not."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (Debian: apt-get install prometheus)")
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["test", "rules", str(Path(__file__).parent / "alerts.yml")],
        ["check", "rules", str(RULES)],
        ["check", "config", "--syntax-only", str(CONFIGURATION)],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_tool_of_prometheus_finds_nothing_wrong(command: list[str]) -> None:
    said = subprocess.run([tool("promtool"), *command], capture_output=True, text=True, timeout=600, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_is_seen_to_speak_and_to_be_silent() -> None:
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    expected: dict[bool, set[str]] = {True: set(), False: set()}
    for story in yaml.safe_load((Path(__file__).parent / "alerts.yml").read_text())["tests"]:
        for moment in story["alert_rule_test"]:
            expected["exp_alerts" in moment].add(moment["alertname"])
    assert expected == {True: set(alerts), False: set(alerts)}


def progress_after(seconds: int) -> RunProgress:
    """What a run tells after so many seconds, of everything that it can tell."""
    counts = Counter({("published_rows", "ok"): 90, ("published_rows", "missing"): 10})
    for what, size in (("segment_rows", 100), ("segment_bytes", 100_000)):
        counts += Counter({(what, str(next(b for b in BOUNDS[what] if size <= b))): 1, (f"{what}_sum", ""): size})
    counts += Counter({("fetched_bytes", ""): 10**6})
    counts += Counter({("stage_seconds", "load"): 1, ("stage_seconds", "score"): 2, ("conflicts", ""): 1})
    counts += Counter({("loader_seconds", "fetch"): 1, ("loader_seconds", "decode"): 2})
    readings = Readings(
        counts=Counter({what: each * seconds for what, each in counts.items()}),
        unread={0: 1000, 1: 0},
        queues={"references": 8, "rows": 16},
        published={0: 50 * seconds, 1: 50 * seconds},
        published_at=time.time(),
    )
    return RunProgress({"ok": 90 * seconds, "missing": 10 * seconds}, 1000, seconds, 2, 1, readings=readings)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Asks a Prometheus that has scraped a run: path and parameters of its API give the data of the answer."""
    place = tmp_path_factory.mktemp("prometheus")
    with serve_metrics(OperationsSpec(metrics_port=0)) as (tell, metrics_port):
        port = free_port()
        configuration = yaml.safe_load(CONFIGURATION.read_text())
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["rule_files"] = [str(RULES)]
        (run,) = (job for job in configuration["scrape_configs"] if job["job_name"] == "fleetsift")
        run["static_configs"] = [{"targets": [f"127.0.0.1:{metrics_port}"]}]
        configuration["scrape_configs"] = [run]
        (place / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        command = [
            tool("prometheus"),
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
        ]
        with (place / "log").open("w") as log:
            server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

        def ask_api(path: str, **parameters: str) -> Any:
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]

        try:
            until = time.monotonic() + _WAIT_S
            for seconds in range(1, 1000):
                tell(progress_after(seconds))
                time.sleep(1)
                try:
                    rising = ask_api("query", query="changes(fleetsift_run_seconds[1m]) > 2")["result"]
                except OSError:  # it is not up yet
                    rising = []
                if rising:
                    break
                assert server.poll() is None, (place / "log").read_text()
                assert time.monotonic() < until, (place / "log").read_text()
            yield ask_api
        finally:
            server.kill()
            server.wait()


def test_it_scrapes_a_run_and_keeps_the_rules(ask: Callable[..., Any]) -> None:
    (target,) = ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(yaml.safe_load(RULES.read_text())["groups"][0]["rules"])
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, rules  # unknown: not evaluated yet


@pytest.mark.parametrize(
    ("title", "query"),
    [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    ],
)
def test_every_panel_has_an_answer(title: str, query: str, ask: Callable[..., Any]) -> None:
    answer = ask("query", query=query.replace("$__rate_interval", "1m"))
    values = [float(series["value"][1]) for series in answer["result"]]
    assert values, title
    assert all(0 <= value < float("inf") for value in values), (title, values)
