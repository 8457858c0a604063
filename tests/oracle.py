"""The oracle of RELIABILITY: what the producer had acknowledged against what lies in the store, read raw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from kafka import KafkaProducer

from fleetsift.store.chain import segment_names
from fleetsift.store.folder import open_folder
from fleetsift.store.segments import is_segment, verify_segment

Acknowledged = dict[tuple[str, int, int], str | None]  # (topic, partition, offset) -> frame_id, None where it has none


def produce(broker: str, topic: str, records: Iterable[tuple[str | None, bytes, int | None]]) -> Acknowledged:
    """Send (frame_id, value, partition) and return what the broker acknowledged."""
    producer = KafkaProducer(bootstrap_servers=[broker], acks="all", linger_ms=5)
    sent = [(name, producer.send(topic, value=value, partition=partition)) for name, value, partition in records]
    producer.flush()
    facts = [(name, future.get(timeout=120)) for name, future in sent]
    producer.close()
    return {(fact.topic, fact.partition, fact.offset): name for name, fact in facts}


def check_store(store: str | Path, acknowledged: Acknowledged, perhaps: Acknowledged | None = None) -> Counter[str]:
    """Lost 0, phantom 0, doubled 0, half-written 0, each segment beginning where the one before it ends.

    What was acknowledged and has since left the topic (`perhaps`) may be a row or not. Returns the rows by status.
    """
    rows: list[tuple[tuple[str, int, int], str | None]] = []
    statuses: Counter[str] = Counter()
    folder = open_folder(store)
    ends: Counter[str] = Counter()
    for name in segment_names(folder):
        facts = verify_segment(folder, name)
        chain = name.rpartition("/")[0]
        assert facts.start == ends[chain], f"{name} begins at {facts.start}, the one before it ends at {ends[chain]}"
        ends[chain] = facts.next
        if facts.gap:
            assert pq.read_metadata(pa.BufferReader(folder.read(name))).num_rows == 0, f"{name} has rows in a gap"
            continue
        columns = ["topic", "partition", "offset", "frame_id", "status"]
        table = pq.read_table(pa.BufferReader(folder.read(name)), columns=columns).to_pydict()
        positions = zip(table["topic"], table["partition"], table["offset"], strict=True)
        rows += zip(positions, table["frame_id"], strict=True)
        statuses.update(table["status"])
        assert facts.statuses == dict(Counter(table["status"]))
    seen = Counter(position for position, _ in rows)
    assert not [position for position, count in seen.items() if count > 1], "doubled"
    assert not acknowledged.keys() - seen.keys(), "lost"
    expected = acknowledged | {at: name for at, name in (perhaps or {}).items() if at in seen}
    assert not seen.keys() - expected.keys(), "phantom"
    assert dict(rows) == expected
    assert sum(statuses.values()) == len(expected)
    visible = [name for name in folder.names() if not any(part.startswith(".") for part in name.split("/"))]
    assert all(map(is_segment, visible)), "half-written"  # a killed writer's draft stays hidden
    return statuses
