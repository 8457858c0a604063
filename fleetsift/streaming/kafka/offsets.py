"""A consumer group whose committed offsets follow what was published: for Kafka's own tools, and nobody else.

The store alone says where to go on. Nothing here is ever read back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import kafka.errors
from kafka import KafkaAdminClient, TopicPartition
from kafka.structs import OffsetAndMetadata

from fleetsift.errors import SourceError
from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka.speaking import client_settings, speaking_to
from fleetsift.streaming.progress import RunProgress

_ASK_AGAIN_S = 0.5
_MOST_ASKS = 20


def commit_offsets(spec: KafkaSpec, group: str, ends: Mapping[int, int]) -> None:
    """Let a group's offsets be where partitions' chains end; raises SourceError where the brokers refuse."""
    offsets = {TopicPartition(spec.topic, p): OffsetAndMetadata(end, "", None) for p, end in ends.items()}
    with speaking_to(spec):
        admin = KafkaAdminClient(**client_settings(spec))
        try:
            answers = _with_a_coordinator(lambda: admin.alter_group_offsets(group, offsets))
        finally:
            admin.close()
    refused = {error.__name__ for error in answers.values() if error is not kafka.errors.NoError}
    if refused:
        raise SourceError(f"kafka.group: {group} takes no offsets, {', '.join(sorted(refused))}; is it somebody's?")


def offsets_committer(spec: KafkaSpec, group: str) -> Callable[[RunProgress], None]:
    """Something to call with how far a run is: commits where chains have grown since the last call."""
    committed: dict[int, int] = {}

    def commit(progress: RunProgress) -> None:
        grown = {p: end for p, end in progress.readings.published.items() if committed.get(p) != end}
        if grown:
            commit_offsets(spec, group, grown)
            committed.update(grown)

    return commit


def _with_a_coordinator(alter: Callable[[], Any]) -> Any:
    """Ask again while the brokers make up their mind who looks after a group: they do when it is the first."""
    for _ in range(_MOST_ASKS):
        try:
            return alter()
        except (kafka.errors.CoordinatorNotAvailableError, kafka.errors.CoordinatorLoadInProgressError):
            time.sleep(_ASK_AGAIN_S)
    return alter()
