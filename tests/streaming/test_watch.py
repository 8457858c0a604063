"""What partitions weigh when they are dealt: what the source says, or all alike where it is silent."""

from __future__ import annotations

import json
from pathlib import Path

from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.streaming.kafka.topic import KafkaTopic
from fleetsift.streaming.manifests.topic import open_manifest
from fleetsift.streaming.watch import weigh_partitions
from tests.s3 import free_port


def test_a_part_of_a_manifest_weighs_the_rows_that_are_left(tmp_path: Path) -> None:
    rows = ({"frame_id": f"f{i}", "session_id": "s", "uri": "none.jpg"} for i in range(10))
    (tmp_path / "fleet.jsonl").write_text("\n".join(map(json.dumps, rows)))
    topic = open_manifest(ManifestSpec(path=str(tmp_path / "fleet.jsonl"), rows_per_part=4))
    assert weigh_partitions(topic, {0: 0, 1: 3, 2: 2}) == {0: 4, 1: 1, 2: 0}


def test_where_brokers_are_silent_all_partitions_weigh_the_same() -> None:
    """Within seconds: whoever deals them has workers to look after."""
    topic = KafkaTopic(KafkaSpec(brokers=(f"127.0.0.1:{free_port()}",), topic="frames"), "id", (0, 1))
    assert weigh_partitions(topic, {0: 7, 1: 0}) == {0: 1, 1: 1}
