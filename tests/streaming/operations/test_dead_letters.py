"""Every error row becomes one dead letter, whoever dies and whatever is down, and the stream never waits for one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import msgspec
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer, TopicPartition

from fleetsift.engines.function import null_engine
from fleetsift.schemas.dead_letters import DeadLetter
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec
from fleetsift.store.chain import Namespace
from fleetsift.store.compaction import MergeSize, compact_store
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.operations.dead_letters import Courier, carry_letters, write_letters
from tests.oracle import check_store, produce
from tests.streaming.conftest import record, run_once
from tests.streaming.test_run import MIXED

NewFleet = Callable[..., FleetSpec]


def with_letters(spec: FleetSpec) -> FleetSpec:
    kafka = msgspec.structs.replace(spec.kafka, dead_letters=f"{spec.kafka.topic}.dead")
    return msgspec.structs.replace(spec, kafka_section=kafka)


def send_mixed(spec: FleetSpec, times: int = 3) -> dict[tuple[str, int, int], str | None]:
    create_topic(spec.kafka)
    records = [(name, value, i % spec.kafka.partitions) for i, (name, value) in enumerate(MIXED * times)]
    return produce(spec.kafka.brokers[0], spec.kafka.topic, records)


def read_letters(spec: FleetSpec) -> list[tuple[bytes, DeadLetter]]:
    """What lies on the dead letters' topic."""
    topic = msgspec.structs.replace(spec.kafka, topic=spec.kafka.dead_letters or "")
    places = [TopicPartition(topic.topic, p) for p in describe_topic(topic).partitions]
    consumer = KafkaConsumer(bootstrap_servers=list(topic.brokers), auto_offset_reset="none", group_id=None)
    consumer.assign(places)
    consumer.seek_to_beginning()
    found = []
    while any((end := consumer.highwater(p)) is None or consumer.position(p) < end for p in places):
        for records in consumer.poll(timeout_ms=200).values():
            found += [(bytes(r.key), msgspec.json.decode(r.value, type=DeadLetter)) for r in records]
    consumer.close()
    return found


def check_letters(spec: FleetSpec) -> list[DeadLetter]:
    """The letters are the error rows, each once."""
    found = read_letters(spec)
    with ScoreStore(spec.store.path) as store:
        rows = store.sql(
            'SELECT topic, "partition", "offset", status, reason, frame_id FROM rows WHERE status <> \'ok\''
        ).fetchall()
    letters = [letter for _, letter in found]
    told = [(x.topic, x.partition, x.offset, str(x.status), x.reason, x.frame_id) for x in letters]
    assert Counter(told) == Counter(rows)
    assert len({key for key, _ in found}) == len(found) == len(rows)
    return letters


def test_what_failed_is_told_with_its_position_reason_and_raw_record(new_fleet: NewFleet) -> None:
    spec = with_letters(new_fleet(partitions=3))
    send_mixed(spec)
    run_once(spec)
    assert carry_letters(spec) == 15
    letters = check_letters(spec)
    assert {letter.record for letter in letters if letter.status == "bad_message"} == {b"this is no JSON", b""}
    assert {letter.record for letter in letters if letter.status != "bad_message"} == {None}
    assert {letter.uri for letter in letters if letter.status == "denied"} == {"../good.jpg"}
    assert carry_letters(spec) == 0
    send_mixed(spec, times=1)
    run_once(spec)
    assert carry_letters(spec) == 5
    check_letters(spec)


def namespace_of(spec: FleetSpec) -> Namespace:
    topic, engine = describe_topic(spec.kafka), null_engine()
    return Namespace(topic.name, topic.topic_id, engine.ensemble_id, engine.classes)


class Forgetful:
    """A store whose user dies when it would write its note for the nth time."""

    def __init__(self, inner: Folder, lives: list[int]) -> None:
        self._inner, self._lives = inner, lives

    def below(self, name: str) -> Forgetful:
        return Forgetful(self._inner.below(name), self._lives)

    def overwrite(self, name: str, data: bytes) -> None:
        self._lives[0] -= 1
        if self._lives[0] < 0:
            raise KeyboardInterrupt
        self._inner.overwrite(name, data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.mark.parametrize("lives", [0, 1, 2])
def test_who_dies_after_sending_and_before_noting_it_sends_nothing_twice(new_fleet: NewFleet, lives: int) -> None:
    spec = with_letters(new_fleet(partitions=2, flush_rows=4))
    send_mixed(spec)
    run_once(spec)
    root = open_folder(spec.store.path)
    mortal: Folder = Forgetful(root, [lives])  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        Courier(spec.kafka, spec.kafka.dead_letters or "", mortal, namespace_of(spec)).deliver([0, 1])
    carry_letters(spec)
    check_letters(spec)


def test_a_note_that_is_lost_torn_or_of_another_topic_costs_time_and_doubles_nothing(new_fleet: NewFleet) -> None:
    spec = with_letters(new_fleet(partitions=2, flush_rows=4))
    send_mixed(spec)
    run_once(spec)
    carry_letters(spec)
    notes = list(Path(spec.store.path).rglob(".dead_letters"))
    assert len(notes) == 2
    for lie in (b"", b"{", json.dumps({"topic_id": "another", "upto": 10**6, "seen": 10**6}).encode()):
        for note in notes:
            note.write_bytes(lie)
        assert carry_letters(spec) == 0
    notes[0].unlink()
    assert carry_letters(spec) == 0
    check_letters(spec)


def test_what_was_merged_and_pruned_meanwhile_is_told_all_the_same(new_fleet: NewFleet) -> None:
    spec = with_letters(new_fleet(partitions=2, flush_rows=4))
    send_mixed(spec)
    run_once(spec)
    now = datetime.now(UTC)
    for keep in (None, timedelta(0)):
        compact_store(spec.store.path, MergeSize(everything=True), keep, now)
    assert len(list(Path(spec.store.path).glob("topic*/*/*/*.parquet"))) == 2
    assert carry_letters(spec) == 15
    check_letters(spec)


@pytest.mark.slow
def test_a_run_tells_of_its_own_and_of_what_was_left_lying(new_fleet: NewFleet) -> None:
    spec = with_letters(new_fleet(partitions=2, workers=WorkersSpec(batch=4, cpus=0.5, threads=1)))
    acknowledged = send_mixed(spec)
    run_once(spec)  # nobody carries letters here
    acknowledged |= send_mixed(spec, times=1)
    run_fleet(spec, until_end=True, stop=Event(), engine=null_engine)
    check_store(Path(spec.store.path), acknowledged)
    assert len(check_letters(spec)) == 20


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_all_of_them_as_a_file(new_fleet: NewFleet, tmp_path: Path, kind: str) -> None:
    spec = new_fleet(partitions=2)
    send_mixed(spec)
    run_once(spec)
    path = tmp_path / f"dead.{kind}"
    assert write_letters(spec, path) == 15
    rows = (
        pq.read_table(path).to_pylist() if kind == "parquet" else list(map(json.loads, path.read_text().splitlines()))
    )
    assert Counter(row["status"] for row in rows) == {"missing": 3, "bad_message": 6, "corrupt": 3, "denied": 3}
    assert sum(row.get("record") is not None for row in rows) == 6


def test_a_good_frame_is_nobodys_letter(new_fleet: NewFleet) -> None:
    spec = with_letters(new_fleet(partitions=1))
    create_topic(spec.kafka)
    produce(spec.kafka.brokers[0], spec.kafka.topic, [("f1", record("f1"), 0)])
    run_once(spec)
    assert carry_letters(spec) == 0
    assert read_letters(spec) == []
