"""A store followed: what is written is never written twice, and a process that was killed goes on as if it had not."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError, StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Diversity,
    Gap,
    Guard,
    Labelled,
    Quota,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
)
from fleetsift.selectors.online.arrivals import arrivals, new_since
from fleetsift.selectors.online.follow import Followed, follow_store
from fleetsift.selectors.online.ledger import Begun, Ledger
from fleetsift.selectors.online.policy import Pace
from fleetsift.selectors.online.regret import measure_regret
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter
from tests.report.drawn_fleet import CLASSES, ENSEMBLE, drawn_scores
from tests.store.conftest import new_store  # noqa: F401 - a fixture
from tests.test_cli import FLEETSIFT, fleetsift

START = datetime(2026, 5, 3, 7, tzinfo=UTC)
SPEC = SelectionSpec(constraints=(Cap(most=6), Gap(least_s=5)))
PACE = Pace(per_day=8, expected=100)


def publish(store: Path, first: int, last: int, topic_id: str = "", name: str = "f") -> None:
    """Publish frames, one every ten seconds of three hours a day, as one more segment."""
    scores = drawn_scores()
    refs = [
        FrameRef(
            Position("t", 0, n), f"{name}-{n:03d}", f"s-{n // 20}", f"/{n}.jpg",
            START + timedelta(days=n // 100, seconds=10 * (n % 100)),
        )
        for n in range(300)
    ]  # fmt: skip
    writer = StoreWriter(
        StoreSpec(path=str(store)), Namespace("t", topic_id, ENSEMBLE, CLASSES), RowLayout(ENSEMBLE, members=4), [0]
    )
    parts = slice(first, last)
    writer.append(refs[parts], _part(scores, parts))
    writer.flush()


def _part(value: Any, parts: slice) -> Any:
    """The same scores of fewer frames."""
    if isinstance(value, np.ndarray):
        return value[parts]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts_of = {f.name: _part(getattr(value, f.name), parts) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts_of)
    return value[parts] if isinstance(value, tuple) and len(value) == 300 else value


def follow(store: Path, out: Path, spec: SelectionSpec = SPEC, pace: Pace = PACE) -> Followed:
    return follow_store(str(store), spec, pace, out, stop=Event(), until_end=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("online") / "scores"
    for first in (0, 130, 260):
        publish(path, first, min(first + 130, 300))
    return path


@pytest.fixture(scope="module")
def lines(store: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("whole") / "picks.jsonl"
    follow(store, out)
    return out.read_bytes()


def test_a_topic_that_was_made_again_arrives_with_its_own_rows_alone(tmp_path: Path) -> None:
    publish(tmp_path, 0, 60)
    with ScoreStore(str(tmp_path)) as store:
        seen = store.snapshot()
    publish(tmp_path, 0, 40, topic_id="again", name="g")
    with ScoreStore(str(tmp_path)) as store:
        came = [arrival.frame_id for arrival in arrivals(store, SPEC, new_since(store, seen), {})]
    assert sorted(came) == [f"g-{n:03d}" for n in range(40)]


def test_picks_are_lines_under_a_budget_a_day(store: Path, tmp_path: Path) -> None:
    followed = follow(store, tmp_path / "picks.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "picks.jsonl").read_text().splitlines()]
    picks = [line for line in lines if line["kind"] == "pick"]
    assert [line["kind"] for line in lines[:2]] == ["begun", "read"]
    assert tuple(pick["frame_id"] for pick in picks) == followed.picked
    assert followed.judged == 300
    days = [pick["captured_us"] // 86_400_000_000 for pick in picks]
    assert 3 <= max(days.count(day) for day in days) <= 8
    assert max(sum(f"s-{int(p['frame_id'][2:]) // 20}" == f"s-{s}" for p in picks) for s in range(15)) <= 6


@pytest.mark.parametrize("kept", [*np.random.default_rng(2).integers(0, 2_500, 12).tolist(), 1, 10_000])
def test_wherever_it_was_killed_it_goes_on_to_the_same_file(
    store: Path, lines: bytes, tmp_path: Path, kept: int
) -> None:
    out = tmp_path / "picks.jsonl"
    out.write_bytes(lines[:kept])
    follow(store, out)
    assert out.read_bytes() == lines


def test_what_is_published_later_is_picked_later_and_nothing_twice(tmp_path: Path) -> None:
    out, scores = tmp_path / "picks.jsonl", tmp_path / "scores"
    publish(scores, 0, 130)
    first = follow(scores, out)
    publish(scores, 130, 300)
    second = follow(scores, out)
    assert second.picked[: len(first.picked)] == first.picked
    assert len(second.picked) == len(set(second.picked)) > len(first.picked)
    assert (second.judged, second.judged_now) == (300, 170)
    again = out.read_bytes()
    assert follow(scores, out).judged_now == 0
    out.with_name("picks.jsonl.checkpoint").unlink()
    assert follow(scores, out).judged_now == 300
    assert out.read_bytes() == again


@pytest.mark.slow
@given(st.lists(st.integers(1, 299), min_size=1, max_size=3, unique=True), st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_of_ledger_and_checkpoint_survives_the_picks_are_those_of_one_run(
    new_store: Callable[[], Path],  # noqa: F811
    cuts: list[int],
    data: st.DataObject,
) -> None:
    """The store grows; between runs the ledger's end may be lost, and the checkpoint may be gone, old or spoilt."""
    folder = new_store()
    out, checkpoint = folder / "picks.jsonl", folder / "picks.jsonl.checkpoint"
    spec = msgspec.structs.replace(SPEC, objectives=(Score(), Diversity(), Balance(key="(hash(frame_id) % 3)")))
    kept = b"spoilt"
    for first, last in pairwise([0, *sorted(cuts), 300]):
        publish(folder / "scores", first, last)
        follow(folder / "scores", out, spec)
        out.write_bytes(out.read_bytes()[: data.draw(st.integers(0, 40_000))])
        fate = data.draw(st.sampled_from(["kept", "gone", "old", "spoilt"]))
        kept, newest = (kept if data.draw(st.booleans()) else checkpoint.read_bytes()), checkpoint.read_bytes()
        checkpoint.write_bytes({"kept": newest, "old": kept}.get(fate, newest[:50]))
        if fate == "gone":
            checkpoint.unlink()
    picked = follow(folder / "scores", out, spec).picked
    undisturbed = folder / "undisturbed.jsonl"
    undisturbed.write_bytes(
        b"".join(line for line in out.read_bytes().splitlines(keepends=True) if b'"pick"' not in line)
    )
    assert follow(folder / "scores", undisturbed, spec).picked == picked
    assert undisturbed.read_bytes().count(b"\n") == out.read_bytes().count(b"\n")


def test_a_checkpoint_of_other_reads_is_not_gone_on_from(tmp_path: Path) -> None:
    """The read that it knew of was lost with the ledger's end, and another took its place."""
    out, scores = tmp_path / "picks.jsonl", tmp_path / "scores"
    publish(scores, 0, 130)
    follow(scores, out)
    checkpoint = out.with_name("picks.jsonl.checkpoint").read_bytes()
    publish(scores, 130, 300)
    out.write_bytes(out.read_bytes().splitlines(keepends=True)[0])
    whole = follow(scores, out).picked
    out.with_name("picks.jsonl.checkpoint").write_bytes(checkpoint)
    again = follow(scores, out)
    assert (again.judged_now, again.picked) == (300, whole)


def test_it_follows_until_it_is_stopped(tmp_path: Path) -> None:
    publish(tmp_path / "scores", 0, 100)
    stop, out = Event(), tmp_path / "picks.jsonl"
    followed = follow_store(str(tmp_path / "scores"), SPEC, PACE, out, stop=stop, on_pick=lambda _: stop.set())
    assert stop.is_set()
    assert followed.picked


@pytest.mark.parametrize(
    ("spec", "pace"), [(SPEC, Pace(per_day=9, expected=100)), (msgspec.structs.replace(SPEC, seed=1), PACE)]
)
def test_another_selection_does_not_go_on_with_the_file(
    store: Path, lines: bytes, tmp_path: Path, spec: SelectionSpec, pace: Pace
) -> None:
    (tmp_path / "picks.jsonl").write_bytes(lines)
    with pytest.raises(SelectionError, match="expected picks by this specification"):
        follow(store, tmp_path / "picks.jsonl", spec, pace)
    assert (tmp_path / "picks.jsonl").read_bytes() == lines


def test_a_file_that_no_longer_follows_from_the_store_is_refused(store: Path, tmp_path: Path) -> None:
    labelled, out = tmp_path / "labelled.txt", tmp_path / "picks.jsonl"
    labelled.write_text("")
    spec = msgspec.structs.replace(SPEC, labelled=Labelled(frames=(str(labelled),)))
    followed = follow(store, out, spec)
    labelled.write_text(f"{followed.picked[0]}\n")
    out.with_name("picks.jsonl.checkpoint").unlink()
    with pytest.raises(SelectionError, match="expected pick 1 to be"):
        follow(store, out, spec)


def test_excluded_frames_are_not_judged(store: Path, tmp_path: Path) -> None:
    everybody = follow(store, tmp_path / "all.jsonl")
    (tmp_path / "sensor.txt").write_text("\n".join(everybody.picked[:3]))
    fewer = follow(
        store, tmp_path / "rest.jsonl", msgspec.structs.replace(SPEC, exclude=(str(tmp_path / "sensor.txt"),))
    )
    assert fewer.judged == everybody.judged - 3
    assert not set(everybody.picked[:3]) & set(fewer.picked)


def test_two_processes_do_not_write_one_file(store: Path, tmp_path: Path) -> None:
    with (
        Ledger(tmp_path / "picks.jsonl", Begun(ensemble_id=ENSEMBLE, spec=SPEC, pace=PACE)),
        pytest.raises(SelectionError, match="another process picks into it"),
    ):
        follow(store, tmp_path / "picks.jsonl")


def test_what_a_frame_alone_cannot_be_judged_by_is_refused(store: Path, tmp_path: Path) -> None:
    objectives = (Balance(key="camera", target="pool"), AreaBalance(), Typicality())
    constraints = (Quota(key="camera", value="a", least=1), Guard(sessions=("s-1",), least=0.5))
    spec = SelectionSpec(objectives=objectives, constraints=constraints)
    with pytest.raises(SelectionError) as refused:
        follow(store, tmp_path / "picks.jsonl", spec)
    for name in ("balance camera: ", "balance area: ", "typicality: ", "quota camera = a: ", "guard: "):
        assert name in str(refused.value)
    with pytest.raises(SelectionError, match="unit region: frames arrive whole"):
        follow(store, tmp_path / "picks.jsonl", SelectionSpec(unit="region"))
    with pytest.raises(StoreError):
        follow(tmp_path / "nothing", tmp_path / "picks.jsonl")


def test_balance_similarity_and_a_guard_decide_online_too(store: Path, tmp_path: Path) -> None:
    like, kept_apart = tmp_path / "like.txt", tmp_path / "test.txt"
    like.write_text("f-000\nf-100\n")
    kept_apart.write_text("f-007\n")
    objectives = (Score(), Balance(key="(hash(frame_id) % 3)"), Similarity(frames=(str(like),), strength=4))
    constraints = (Guard(frames=(str(kept_apart),), least=3.5), Threshold(expression="entropy.mean", least=0.06))
    spec = SelectionSpec(objectives=objectives, constraints=constraints, labelled=Labelled(sessions=("s-2",)))
    followed = follow(store, tmp_path / "picks.jsonl", spec)
    assert len(followed.picked) > 5
    with ScoreStore(store) as opened:
        rows = opened.sql("SELECT frame_id, session_id, embedding FROM frames ORDER BY frame_id").fetchall()
        regret = measure_regret(opened, spec, PACE, followed.picked)
    vectors = {frame_id: np.array(embedding) for frame_id, _, embedding in rows}
    sessions = {frame_id: session for frame_id, session, _ in rows}
    near = [frame_id for frame_id, vector in vectors.items() if np.linalg.norm(vector - vectors["f-007"]) < 3.5]
    assert near
    assert not set(near) & set(followed.picked)
    assert "s-2" not in {sessions[frame_id] for frame_id in followed.picked}
    assert 0.3 < regret.ratio < 1.2
    like.write_text("nobody\n")
    with pytest.raises(SelectionError, match="similarity: expected frames of the store that have embeddings, 0 of 1"):
        follow(store, tmp_path / "others.jsonl", spec)


def test_what_it_cost_is_measured_against_greedy_on_the_same_frames(store: Path, lines: bytes) -> None:
    picked = [json.loads(line)["frame_id"] for line in lines.splitlines() if b'"pick"' in line]
    with ScoreStore(store) as opened:
        regret = measure_regret(opened, SPEC, PACE, picked)
        assert (regret.frames, regret.days, regret.online) == (300, 3, len(picked))
        assert regret.offline <= 24
        assert 0.3 < regret.ratio < 1.2
        offline_itself = measure_regret(opened, SPEC, Pace(per_day=300, expected=1), [])
    assert offline_itself.ratio == 0


def test_the_verb_says_how_much_it_was_worth(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "fleet.yaml"
    config.write_text(
        f"kafka: {{brokers: ['localhost:9092'], topic: t}}\nframes: {{roots: [.]}}\nensemble: e.yaml\n"
        f"store: {{path: {store}}}\n"
    )
    done = fleetsift("online", config, "--out", tmp_path / "p.jsonl", "--per-day", "5", "--until-end", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["judged"], result["judged_now"]) == (300, 300)
    assert result["picked"] <= 15
    assert result["ratio"] > 0


@pytest.mark.slow
def test_a_process_killed_with_9_goes_on(tmp_path: Path) -> None:
    """A real process, killed right after its first pick is on disk, while the store grows."""
    scores, out, config = tmp_path / "scores", tmp_path / "picks.jsonl", tmp_path / "fleet.yaml"
    config.write_text(
        f"kafka: {{brokers: ['localhost:9092'], topic: t}}\nframes: {{roots: [.]}}\nensemble: e.yaml\n"
        f"store: {{path: {scores}}}\n"
    )
    publish(scores, 0, 130)
    options = ["online", str(config), "--out", str(out), "--per-day", "8", "--expected", "100"]
    with subprocess.Popen([*FLEETSIFT, *options]) as process:
        while b'"pick"' not in (out.read_bytes() if out.exists() else b""):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    publish(scores, 130, 300)
    assert fleetsift(*options, "--until-end").returncode == 0
    picks = [json.loads(line)["frame_id"] for line in out.read_bytes().splitlines() if b'"pick"' in line]
    assert len(picks) == len(set(picks))
    undisturbed = tmp_path / "undisturbed.jsonl"
    begun, *reads = (line for line in out.read_bytes().splitlines(keepends=True) if b'"pick"' not in line)
    undisturbed.write_bytes(begun + b"".join(reads))
    spec = SelectionSpec()
    again = follow_store(str(scores), spec, Pace(per_day=8, expected=100), undisturbed, stop=Event(), until_end=True)
    assert list(again.picked) == picks
