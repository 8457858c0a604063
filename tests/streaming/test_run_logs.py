"""What `fleetsift run` says: one JSON object a line, workers with their partitions, and the result alone on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from tests.oracle import check_store
from tests.streaming.conftest import fill
from tests.test_cli import fleetsift

NewFleet = Callable[..., FleetSpec]


def write_fleet(spec: FleetSpec, path: Path) -> Path:
    """A configuration file of the demo's tiny ensemble."""
    path.write_text(yaml.safe_dump(msgspec.to_builtins(msgspec.structs.replace(spec, ensemble=str(demo_ensemble())))))
    return path


@pytest.mark.slow
def test_a_run_is_one_log_of_json(new_fleet: NewFleet, tmp_path: Path) -> None:
    spec = new_fleet(partitions=2, workers=WorkersSpec(count=2, batch=4, cpus=0.5, threads=1))
    acknowledged = fill(spec, range(30))
    fleet = write_fleet(spec, tmp_path / "fleet.yaml")
    done = fleetsift("run", fleet, "--until-end", "--json", "--log", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == {"ok": 30}
    check_store(spec.store.path, acknowledged)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"time", "level", "logger", "message"} <= event.keys() for event in events)
    published = [event for event in events if event["message"].startswith("published a segment")]
    assert sum(event["rows"] for event in published) == 30
    assert {(event["worker"], tuple(event["partitions"])) for event in published} == {(0, (0,)), (1, (1,))}
    assert all(event["partition"] in event["partitions"] for event in published)


def test_a_refusal_is_an_event_too(tmp_path: Path) -> None:
    done = fleetsift("run", tmp_path / "none.yaml", "--log", "json")
    assert done.returncode == 1
    [event] = map(json.loads, done.stderr.splitlines())
    assert (event["level"], event["error"]) == ("error", "ConfigError")
    assert "none.yaml" in event["message"]
