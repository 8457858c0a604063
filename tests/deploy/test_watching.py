"""The dashboard and the alerts ask for nothing that a run does not tell, and tell of all that it does."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fleetsift.schemas.fleet import OperationsSpec
from fleetsift.streaming.operations.metrics import METRICS, serve_metrics
from fleetsift.streaming.progress import Readings, RunProgress
from tests.streaming.operations.test_metrics import scrape_text

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "fleetsift.json"
RULES = DEPLOY / "prometheus" / "fleetsift.rules.yml"
NAME = re.compile(r"\bfleetsift_\w+")
LABEL = re.compile(r"(?:by|on|without|ignoring)\s*\(([^)]*)\)|[{,]\s*(\w+)\s*[!=]|\{\{(?:\s*\$labels\.)?(\w+)\s*\}\}")
OF_PROMETHEUS = {"le", "instance"}


@pytest.fixture(scope="module")
def exported() -> tuple[set[str], set[str]]:
    """The samples and labels of a run of which everything is known."""
    readings = Readings(
        counts=Counter({("published_rows", "ok"): 1, ("stage_seconds", "load"): 1, ("segment_rows", "100"): 1})
        + Counter({("loader_seconds", "fetch"): 1, ("fetched_bytes", ""): 1, ("conflicts", ""): 1}),
        unread={0: 1},
        queues={"rows": 1},
        published={0: 1},
        published_at=1.0,
    )
    with serve_metrics(OperationsSpec(metrics_port=0)) as (tell, port):
        tell(RunProgress({"ok": 1}, 1, 1.0, 1, 0, readings=readings))
        samples = [s for family in text_string_to_metric_families(scrape_text(port)) for s in family.samples]
    return {sample.name for sample in samples}, {label for sample in samples for label in sample.labels}


def queries() -> dict[str, str]:
    """Every expression of the dashboard and the rules, by where it stands; legends too."""
    dashboard = json.loads(DASHBOARD.read_text())
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    panels: dict[str, str] = {
        f"{panel['title']} {target['refId']}": f"{target['expr']} {target['legendFormat']}"
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    return panels | {rule["alert"]: f"{rule['expr']} {rule['annotations']['summary']}" for rule in rules}


def parse(expression: str) -> None:
    """Parse as Prometheus does; raises ValueError. Grafana puts in its interval before."""
    promql_parser.parse(expression.replace("$__rate_interval", "1m"))


def test_every_expression_is_one_to_prometheus() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert expressions
    assert rules
    for expression in [*expressions, *(rule["expr"] for rule in rules)]:
        parse(expression)  # raises where it is none


@pytest.mark.parametrize(
    "wrong", ["sum(fleetsift_lag", "rate(fleetsift_lag)", "sum by partition (fleetsift_lag)", "$x"]
)
def test_what_prometheus_would_refuse_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(wrong)


def unknown(query: str, exported: tuple[set[str], set[str]]) -> set[str]:
    """What a query asks for and no run tells: metrics and labels."""
    names, labels = exported
    wanted = {label.strip() for found in LABEL.findall(query) for part in found if part for label in part.split(",")}
    return set(NAME.findall(query)) - names | wanted - labels - OF_PROMETHEUS


@pytest.mark.parametrize(("where", "query"), queries().items(), ids=list(queries()))
def test_every_query_asks_for_what_is_exported(where: str, query: str, exported: tuple[set[str], set[str]]) -> None:
    assert NAME.search(query), where
    assert not unknown(query, exported)


@pytest.mark.parametrize(
    ("query", "strange"),
    [
        ("sum(fleetsift_lags) {{partition}}", {"fleetsift_lags"}),
        ("fleetsift_frames", {"fleetsift_frames"}),  # a counter's sample ends in _total
        ('rate(fleetsift_frames_total{state!="ok"}[1m])', {"state"}),
        ('fleetsift_frames_total{status="ok", why=~"x"}', {"why"}),
        ("sum by (stages) (rate(fleetsift_stage_seconds_total[1m]))", {"stages"}),
        ("fleetsift_lag > 0 Partition {{ $labels.part }}", {"part"}),
    ],
)
def test_what_is_not_exported_is_found(query: str, strange: set[str], exported: tuple[set[str], set[str]]) -> None:
    assert unknown(query, exported) == strange


def test_every_metric_is_on_the_dashboard() -> None:
    text = DASHBOARD.read_text()
    for kind in METRICS:
        assert kind.name in text
    for what in ("rows", "bytes"):
        assert f"fleetsift_segment_{what}_bucket" in text


def test_panels_have_a_place_of_their_own_and_a_source() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_rules_say_what_is_wrong_and_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "description"} == rule["annotations"].keys()
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert len({rule["alert"] for rule in rules}) == len(rules)
