"""A state that a store had: the rows of one ensemble below the ends that its chains had then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleetsift.errors import StoreError
from fleetsift.store.segments import SegmentFacts

Snapshot = Mapping[str, Mapping[str, int]]  # topic@id -> partition -> the offset that its rows reach to


@dataclass(frozen=True, slots=True)
class AsOf:
    """What names the state: the ensemble, and the ends of its chains."""

    ensemble_id: str
    snapshot: Snapshot

    def reaches(self) -> list[tuple[str, str, int, int]]:
        """Topic, its id, partition and end of every chain."""
        return [
            (*split_topic(topic), int(partition), end)
            for topic, ends in self.snapshot.items()
            for partition, end in ends.items()
        ]


def snapshot_of(ends: Iterable[SegmentFacts]) -> Snapshot:
    """The ends of some chains, from the last segment of each."""
    snapshot: dict[str, dict[str, int]] = {}
    for end in ends:
        snapshot.setdefault(f"{end.topic}@{end.topic_id}", {})[str(end.partition)] = end.next
    return snapshot


def expect_still_there(as_of: AsOf, ends: Iterable[SegmentFacts], store: str) -> None:
    """Raise StoreError where the chains of a store, by their last segments, do not reach so far any more."""
    here = snapshot_of(end for end in ends if end.ensemble_id == as_of.ensemble_id)
    for topic, reached in as_of.snapshot.items():
        for partition, end in reached.items():
            found = here.get(topic, {}).get(partition, 0)
            if found < end:
                raise StoreError(
                    f"{store}: expected rows of {as_of.ensemble_id} from {topic}, partition {partition}, up to offset "
                    f"{end}, found them up to {found}; open the store that has them, or restore it from a copy"
                )


def split_topic(topic: str) -> tuple[str, str]:
    """Name and id of a topic in a snapshot, TOPIC@ID."""
    name, _, topic_id = topic.rpartition("@")
    return name, topic_id
