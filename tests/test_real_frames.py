"""The verbs on real driving frames and a real ensemble, as people type them; skipped where the data is not at hand."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from kafka import KafkaConsumer, TopicPartition
from numpy.typing import NDArray
from PIL import Image

from benchmarks.camvid import write_camvid
from fleetsift.engines.formulas.uncertainty import score_frame
from fleetsift.engines.rows import STATISTICS, FrameRow
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.scores import QUANTITIES, REGION_QUANTITIES
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.kafka.broker import embedded_broker
from tests.engines.closeness import TOLERANCE
from tests.oracle import Acknowledged, check_store, produce
from tests.test_cli import fleetsift

pytestmark = pytest.mark.slow

CLASSES = ("sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")


@dataclass(frozen=True)
class Scored:
    """A folder in which all verbs have been run, and what the topic delivered."""

    folder: Path
    delivered: Acknowledged
    run: dict[str, object]
    frames: int


def delivered(broker: str, topic: str, partitions: int) -> Acknowledged:
    """Everything a topic holds, read by a consumer that is not ours."""
    consumer = KafkaConsumer(bootstrap_servers=[broker], group_id=None, auto_offset_reset="none")
    places = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(places)
    consumer.seek_to_beginning()
    found: Acknowledged = {}
    while any(consumer.highwater(p) is None or consumer.position(p) < consumer.highwater(p) for p in places):
        for records in consumer.poll(500).values():
            for record in records:
                name = json.loads(record.value)["frame_id"] if record.value.startswith(b"{") else None
                found[(record.topic, record.partition, record.offset)] = name
    consumer.close()
    return found


def write_manifest(shared: Path, folder: Path) -> int:
    """One row for each real frame, one for a file that is missing and one for half a JPEG."""
    camvid = shared / "camvid"
    with (camvid / "index.csv").open(newline="") as index, (folder / "frames.csv").open("w", newline="") as manifest:
        writer = csv.writer(manifest)
        writer.writerow(["frame_id", "session_id", "uri", "camera", "split", "frame_number"])
        rows = list(csv.DictReader(index))
        for row in rows:
            session = f"{row['sequence']}-{int(row['frame']) // 1000}"
            uri = camvid / row["file"]
            writer.writerow([uri.stem, session, uri, "front", row["split"], row["frame"]])
        half = folder / "half.jpg"
        half.write_bytes((camvid / rows[0]["file"]).read_bytes()[:9000])
        writer.writerow(["half", "broken", half, "front", "train", 0])
        writer.writerow(["missing", "broken", camvid / "none.jpg", "front", "train", 1])
    return len(rows)


@pytest.fixture(scope="module")
def scored(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("camvid")
    frames = write_manifest(shared_data, folder)
    write_camvid(folder, shared_data, "native")
    with embedded_broker() as broker:
        (folder / "fleet.yaml").write_text(f"""
kafka: {{brokers: ["{broker}"], topic: camvid, partitions: 4}}
frames: {{roots: [{shared_data}, .]}}
ensemble: camvid_native.yaml
store: {{path: scores}}
metadata: {{split: string, frame_number: bigint}}
selection:
  budget: 24
  constraints: [{{kind: cap, key: session_id, most: 4}}]
""")
        published = fleetsift("publish", "fleet.yaml", "frames.csv", "--json", cwd=folder)
        assert json.loads(published.stdout)["published"] == frames + 2, published.stderr
        produce(broker, "camvid", [(None, b"no JSON at all", 0), (None, b'{"frame_id": "x"}', 3)])
        run = fleetsift("run", "fleet.yaml", "--until-end", "--json", cwd=folder)
        assert run.returncode == 0, run.stderr
        return Scored(folder, {**delivered(broker, "camvid", 4)}, json.loads(run.stdout), frames)


def test_every_reference_is_one_row(scored: Scored) -> None:
    acknowledged = {place: name if name != "x" else None for place, name in scored.delivered.items()}
    statuses = check_store(scored.folder / "scores", acknowledged)
    assert statuses == {"ok": scored.frames, "missing": 1, "corrupt": 1, "bad_message": 2} == scored.run["rows"]


def test_what_went_wrong_has_its_reason(scored: Scored) -> None:
    query = "SELECT frame_id, status, reason FROM rows WHERE status <> 'ok' ORDER BY frame_id NULLS FIRST, status"
    answer = fleetsift("sql", scored.folder / "scores", query, "--format", "json").stdout
    rows = [json.loads(line) for line in answer.splitlines()]
    assert [(row["frame_id"], row["status"]) for row in rows] == [
        (None, "bad_message"),
        (None, "bad_message"),
        ("half", "corrupt"),
        ("missing", "missing"),
    ]
    assert all(row["reason"] for row in rows)


def test_stored_scores_are_true(scored: Scored, shared_data: Path) -> None:
    """Each number of some rows against the float64 reference on the logits of the five networks, run one by one."""
    sessions = [
        onnxruntime.InferenceSession(shared_data / "models" / f"camvid_{m}.onnx", providers=["CPUExecutionProvider"])
        for m in range(1, 6)
    ]
    with ScoreStore(scored.folder / "scores") as store:
        table = store.sql("SELECT * FROM frames WHERE metadata.split = 'val' ORDER BY frame_id LIMIT 3")
        rows = table.to_arrow_table().to_pylist()
    assert len(rows) == 3
    for row in rows:
        images = np.asarray(Image.open(row["uri"]).convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255
        answers = [session.run(["native", "embedding"], {"images": images}) for session in sessions]
        logits = np.concatenate([native for native, _ in answers])
        truth = score_frame(logits, RegionSpec(), 0.01, answers[0][1][0])
        assert isinstance(truth, FrameRow)
        for q, quantity in enumerate(QUANTITIES):
            assert_true([row[quantity][statistic] for statistic in STATISTICS], truth.statistics[q])
        by_class = [row["entropy"]["by_class"], row["mutual_information"]["by_class"], row["area"], row["argmax"]]
        for q, column in enumerate(by_class):
            assert_true([column[name] for name in CLASSES], truth.by_class[q])
        for q, quantity in enumerate(REGION_QUANTITIES):
            assert_true(row["regions"][quantity], truth.regions[q])
        assert_true(row["embedding"], truth.embedding)


def assert_true(stored: list[float], truth: NDArray[np.floating]) -> None:
    """Within 1e-5, relative, or in nats where the truth is below one."""
    assert (np.abs(np.array(stored) - truth) <= TOLERANCE * np.maximum(1, np.abs(truth))).all()


def test_the_batch_keeps_its_cap_and_the_report_shows_it(scored: Scored) -> None:
    done = fleetsift("select", "fleet.yaml", "--out", "batch", "--json", cwd=scored.folder)
    told = json.loads(done.stdout)
    assert (told["picked"], told["budget"], told["pool"], told["shortfall"]) == (24, 24, scored.frames, 0)
    assert (told["owed"], told["owed_for"], list(told["blocked_by"])) == ({}, {}, ["cap session_id"])
    with (scored.folder / "batch" / "batch.csv").open(newline="") as file:
        picks = list(csv.DictReader(file))
    sessions = [pick["session_id"] for pick in picks]
    assert max(map(sessions.count, sessions)) <= 4
    assert len({pick["frame_id"] for pick in picks}) == 24
    report = fleetsift("report", "fleet.yaml", "batch", "--json", cwd=scored.folder)
    page = Path(json.loads(report.stdout)["report"]).read_text(encoding="utf-8")
    assert all(pick["frame_id"] in page for pick in picks)
    assert page.count("data:image/webp;base64,") >= 48


def test_another_run_adds_nothing_and_another_selection_is_the_same(scored: Scored) -> None:
    again = fleetsift("select", "fleet.yaml", "--out", "again", cwd=scored.folder)
    assert again.returncode == 0, again.stderr
    for name in ("batch.csv", "batch.parquet", "batch.json"):
        assert (scored.folder / "again" / name).read_bytes() == (scored.folder / "batch" / name).read_bytes()
