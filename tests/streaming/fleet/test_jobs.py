"""`ray job submit` and `ray job stop` on a real cluster that wants a token; workers and nodes die by -9 meanwhile."""

from __future__ import annotations

import json
import random
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import yaml

from fleetsift.configuration import read_fleet
from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.store.chain import segment_names
from fleetsift.store.folder import open_folder
from fleetsift.store.segments import read_facts
from fleetsift.streaming.kafka.topic import create_topic
from tests.oracle import Acknowledged, check_store, produce
from tests.streaming.conftest import record
from tests.streaming.ray_nodes import BIN, PATIENCE_S, ROOT, RayNodes, processes_below, ray_nodes

pytestmark = pytest.mark.slow

PARTITIONS = 4


@dataclass
class Feed:
    """A topic that never runs dry while something is waited for, and what was sent there."""

    fleet: Path
    acknowledged: Acknowledged = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """Where the rows go."""
        return self.fleet.parent / "scores"

    def send(self, frames: int) -> None:
        """Announce so many more frames."""
        spec = read_fleet(self.fleet).kafka
        create_topic(spec)
        names = range(len(self.acknowledged), len(self.acknowledged) + frames)
        records = [(f"f{i}", record(f"f{i}"), i % PARTITIONS) for i in names]
        self.acknowledged |= produce(spec.brokers[0], spec.topic, records)

    def stored(self) -> int:
        """Rows that are published."""
        store = open_folder(self.store)
        return sum(read_facts(store, name).rows for name in segment_names(store))

    def wait_for(self, what: Callable[[], bool], logs: Callable[[], str]) -> None:
        """Wait until something is so, and send more frames whenever the workers are about to run out of them."""

        def look() -> bool:
            if len(self.acknowledged) - self.stored() < 300:
                self.send(400)
            return what()

        wait_until(look, logs)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayNodes]:
    """A head and a second node, with room for one worker each; sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="fs-ray-") as folder, ray_nodes(Path(folder), head_cpus=1) as nodes:
        nodes.join_worker_node(cpus=1)
        yield nodes


@pytest.fixture
def feed(broker: str, tmp_path: Path, frames_root: Path) -> Feed:
    """A topic with the first frames, and the configuration file of a fleet with the demo's networks."""
    path = tmp_path / "fleet.yaml"
    spec = {
        "kafka": {"brokers": [broker], "topic": tmp_path.name, "partitions": PARTITIONS},
        "frames": {"roots": [str(frames_root)]},
        "ensemble": str(demo_ensemble()),
        "store": {"path": "scores", "flush_rows": 50, "flush_s": 1.0},
        "workers": {"count": 2, "batch": 4, "cpus": 1, "threads": 1},
    }
    path.write_text(yaml.safe_dump(spec))
    feed = Feed(path)
    feed.send(400)
    return feed


def wait_until(what: Callable[[], bool], logs: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, logs()
        time.sleep(0.2)


def submit(cluster: RayNodes, name: str, *command: str | Path) -> None:
    """As people do it: again, while the head that has just started says `No available agent`."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = cluster.job("submit", "--no-wait", "--submission-id", name, "--", *map(str, command))
        if done.returncode == 0:
            return
        said = done.stderr + done.stdout
        assert "No available agent" in said or "Failed to connect" in said, said
        assert time.monotonic() < deadline, done.stderr


def agent(node: subprocess.Popen[bytes]) -> str:
    """Where the dashboard's agent of a node listens."""
    said = dict(re.findall(r"--([\w-]+)=(\S+)", " ".join(map(str, cast("list[object]", node.args)))))
    return f"http://{said['node-ip-address']}:{said['dashboard-agent-listen-port']}"


def pids(cluster: RayNodes) -> set[int]:
    """The processes of all workers of ours."""
    return {worker.pid for node in cluster.living() for worker in cluster.workers(node)}


def last_line(logs: str) -> Any:
    """What `fleetsift run --json` said at its end."""
    found = re.findall(r'\{"rows": .*\}', logs)
    assert found, logs
    return json.loads(found[-1])


def test_a_job_is_stopped_drains_and_goes_on_when_submitted_again(cluster: RayNodes, feed: Feed) -> None:
    submit(cluster, "first", "fleetsift", "run", feed.fleet, "--json")

    def logs(name: str = "first") -> str:
        return cluster.job("logs", name).stdout

    killed: set[int] = set()

    def alive() -> list[psutil.Process]:
        return [worker for node in cluster.living() for worker in cluster.workers(node) if worker.pid not in killed]

    chance = random.Random(5)
    for _ in range(3):
        before = feed.stored()
        feed.wait_for(lambda before=before: feed.stored() >= before + 200 and bool(alive()), logs)  # type: ignore[misc]
        victim = chance.choice(alive())
        victim.kill()
        killed.add(victim.pid)
    feed.wait_for(lambda: all(len(cluster.workers(node)) == 1 for node in cluster.living()), logs)
    before = feed.stored()
    feed.wait_for(lambda: feed.stored() >= before + 200, logs)
    feed.send(400)

    assert cluster.job("stop", "first").returncode == 0
    first = last_line(logs())
    assert first["restarts"] == 3
    assert first["rows"] == {"ok": feed.stored()}
    assert not any(cluster.workers(node) for node in cluster.living()), "somebody writes on"

    feed.send(400)
    submit(cluster, "second", "fleetsift", "run", feed.fleet, "--until-end", "--json")
    wait_until(lambda: "succeeded" in (done := cluster.job("status", "second")).stdout + done.stderr, logs)
    second = last_line(logs("second"))
    assert check_store(feed.store, feed.acknowledged) == {"ok": len(feed.acknowledged)}
    assert first["rows"]["ok"] + second["rows"]["ok"] == len(feed.acknowledged)


def test_without_the_token_nothing_is_run(cluster: RayNodes, tmp_path: Path) -> None:
    stranger = {name: value for name, value in cluster.environment.items() if not name.startswith("RAY_AUTH")}
    stranger |= {"HOME": str(tmp_path)}  # Ray keeps a token of its own there
    touched = tmp_path / "touched"
    for environment in (stranger, stranger | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
        refused = cluster.job("submit", "--", "touch", str(touched), environment=environment)
        assert refused.returncode != 0
        assert "token" in (refused.stdout + refused.stderr).lower()
    assert not touched.exists()


def test_the_probes_of_the_pods_are_answered_without_a_token(cluster: RayNodes) -> None:
    """Those of deploy/kuberay, here at this cluster's ports: a kubelet and a compose file know no token."""
    spec = yaml.safe_load((ROOT / "deploy" / "kuberay" / "raycluster.yaml").read_text())["spec"]
    asked = []
    for group, node in zip((spec["headGroupSpec"], *spec["workerGroupSpecs"]), cluster.living(), strict=False):
        [container] = group["template"]["spec"]["containers"]
        url = container["livenessProbe"]["exec"]["command"][-1]
        asked.append(
            url.replace("http://127.0.0.1:8265", cluster.dashboard).replace("http://127.0.0.1:52365", agent(node))
        )
    for url in asked:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cluster.dashboard}/api/jobs/", timeout=PATIENCE_S)


def test_a_run_with_another_token_is_told_so_in_one_line(cluster: RayNodes, feed: Feed) -> None:
    for token in ("0" * 64, ""):
        environment = cluster.environment | {"RAY_ADDRESS": cluster.address, "RAY_AUTH_TOKEN": token}
        refused = subprocess.run(
            [BIN / "fleetsift", "run", feed.fleet],
            env=environment if token else environment | {"RAY_AUTH_TOKEN_PATH": "/no/token"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        line = refused.stderr.splitlines()[-1]  # before it, Ray's own warning
        assert line.startswith(f"fleetsift: RAY_ADDRESS: {cluster.address} wants its token, and got another or none; ")
    assert not feed.store.exists()


def test_a_node_that_joins_works_and_one_that_dies_leaves_its_work_to_the_others(cluster: RayNodes, feed: Feed) -> None:
    """Two nodes have room for two of three workers; a third node joins in the middle of the run, and later is gone."""
    spec = yaml.safe_load(feed.fleet.read_text())
    feed.fleet.write_text(yaml.safe_dump(spec | {"workers": spec["workers"] | {"count": 3}}))
    submit(cluster, "growing", "fleetsift", "run", feed.fleet, "--json")

    def logs() -> str:
        return cluster.job("logs", "growing").stdout

    feed.wait_for(lambda: feed.stored() >= 200, logs)
    before_it_joins = pids(cluster)
    assert len(before_it_joins) == 2
    third = cluster.join_worker_node(cpus=1)
    feed.wait_for(lambda: all(len(cluster.workers(node)) == 1 for node in cluster.living()), logs)
    assert len(pids(cluster) & before_it_joins) == 1, "one gives partitions away, one keeps what it has and works on"
    before = feed.stored()
    feed.wait_for(lambda: feed.stored() >= before + 200, logs)
    cluster.stop(third)
    before = feed.stored()
    feed.wait_for(lambda: feed.stored() >= before + 800, logs)
    wait_until(lambda: feed.stored() == len(feed.acknowledged), logs)
    assert cluster.job("stop", "growing").returncode == 0
    assert check_store(feed.store, feed.acknowledged) == {"ok": len(feed.acknowledged)}


KUBECTL = """#!/bin/sh
# Knows the token, and its tunnel is there already.
case "$*" in
  *"get secret"*) cat "$TOKEN_FILE" ;;
  *port-forward*) exec sleep 600 ;;
esac
"""


def test_submit_sh_starts_follows_and_stops_the_stream_and_starts_it_again(
    cluster: RayNodes, feed: Feed, tmp_path: Path
) -> None:
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    environment = {name: value for name, value in cluster.environment.items() if not name.startswith("RAY_AUTH")}
    environment |= {
        "PATH": f"{kubectl.parent}:{environment['PATH']}",
        "TOKEN_FILE": cluster.environment["RAY_AUTH_TOKEN_PATH"],
        "FLEETSIFT_PORT": cluster.dashboard.rpartition(":")[2],
        "FLEETSIFT_FILE": str(feed.fleet),
        "HOME": str(tmp_path),
    }

    def submit_sh(verb: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "deploy" / "submit.sh"), verb]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    for _ in range(2):  # the name of a job that has ended is used again
        before = feed.stored()
        started = submit_sh("start")
        assert started.returncode == 0, started.stdout + started.stderr
        feed.wait_for(lambda before=before: feed.stored() >= before + 100, lambda: submit_sh("status").stdout)  # type: ignore[misc]
        status = submit_sh("status")
        assert "RUNNING" in status.stdout + status.stderr
        assert submit_sh("stop").returncode == 0
        assert last_line(submit_sh("logs").stdout)["rows"]["ok"] == feed.stored() - before
    assert submit_sh("begin").returncode == 2
    assert check_store(feed.store, {}, perhaps=feed.acknowledged) == {"ok": feed.stored()}


def test_a_raylet_that_is_killed_takes_its_worker_with_it(cluster: RayNodes, feed: Feed) -> None:
    """Row 15: kill -9 of a node's raylet alone. Its worker would write on as an orphan; the work goes to others."""
    submit(cluster, "orphans", "fleetsift", "run", feed.fleet, "--json")

    def logs() -> str:
        return cluster.job("logs", "orphans").stdout

    second = cluster.living()[-1]
    feed.wait_for(lambda: feed.stored() >= 200 and bool(cluster.workers(second)), logs)
    orphans = cluster.workers(second)
    [raylet] = processes_below(second, "raylet")
    raylet.kill()
    wait_until(lambda: not any(orphan.is_running() for orphan in orphans), logs)
    before = feed.stored()
    feed.wait_for(lambda: feed.stored() >= before + 800, logs)
    wait_until(lambda: feed.stored() == len(feed.acknowledged), logs)
    assert cluster.job("stop", "orphans").returncode == 0
    assert check_store(feed.store, feed.acknowledged) == {"ok": len(feed.acknowledged)}
    cluster.stop(second)
