"""Dead letters: the error rows of published segments, sent to a topic, each once, whenever that topic can be reached.

They are derived after publishing, so they cannot hold the stream up, and nothing is lost while their topic is down. How
far they are is noted beside each chain, after the topic has acknowledged. A courier who died in between has sent some
that are not noted: whoever comes next reads the topic's end from where the note was written, and leaves those out.
Without a note everything is compared. Two couriers at once may both send; the key, the position, tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fleetsift.errors import ConfigError, StoreError
from fleetsift.schemas.dead_letters import DeadLetter, encode_dead_letter
from fleetsift.schemas.fleet import FleetSpec, KafkaSpec
from fleetsift.schemas.status import Status
from fleetsift.store.chain import Namespace, topic_place
from fleetsift.store.failed import failed_rows
from fleetsift.store.folder import Folder, open_folder
from fleetsift.streaming.kafka.records import fetch_records, read_keys, send_letters
from fleetsift.streaming.kafka.topic import create_topic, describe_topic
from fleetsift.streaming.operations.status import newest_chains
from fleetsift.streaming.progress import RunProgress
from fleetsift.streaming.topics import open_topic

_NOTE = ".dead_letters"
_AT_ONCE = 1000
_PARQUET = pa.schema(
    [
        *((name, pa.string()) for name in ("topic", "topic_id")),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        *((name, pa.string()) for name in ("ensemble", "status", "reason", "frame_id", "session_id", "uri")),
        ("captured_at", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in ("vehicle_id", "camera")),
        ("record", pa.binary()),
    ]
)


class _Note(msgspec.Struct, frozen=True):
    """How far a chain's dead letters are."""

    topic_id: str  # of the dead letters' topic: another one has none of them
    upto: int  # offset of the chain
    seen: int  # offset in the dead letters' partition, after all that `upto` stands for


@dataclass(slots=True)
class _Place:
    upto: int
    seen: int
    there: set[bytes]  # keys that the topic had from there on, when it was last looked at


class Courier:
    """Brings the dead letters of some chains to their topic, one process at a time."""

    def __init__(self, kafka: KafkaSpec, topic: str, root: Folder, namespace: Namespace) -> None:
        """Nothing is asked yet."""
        self._source = kafka
        self._letters = msgspec.structs.replace(kafka, topic=topic)
        self._root = root
        self._namespace = namespace
        self._topic_id = ""
        self._spread = 0  # partitions of the dead letters' topic
        self._places: dict[int, _Place] = {}

    def deliver(self, partitions: Sequence[int]) -> int:
        """Send what failed in some partitions and was not sent yet; returns how many letters were.

        Raises SourceError where the topic cannot be reached, StoreError where the store cannot; what was sent stays.
        """
        if not self._topic_id:
            self._open_topic()
        return sum(self._deliver(partition) for partition in partitions)

    def behind(self, ends: Mapping[int, int]) -> list[int]:
        """Of some partitions, those whose chains have grown since their letters were sent."""
        return [p for p, end in ends.items() if p not in self._places or self._places[p].upto < end]

    def _open_topic(self) -> None:
        create_topic(self._letters)
        found = describe_topic(self._letters)
        self._topic_id, self._spread = found.topic_id, len(found.partitions)

    def _deliver(self, partition: int) -> int:
        place = self._places.pop(partition, None) or self._find_place(partition)  # after an error it is found anew
        begun, sent = place.upto, 0
        for letters, upto in failed_rows(self._root, self._namespace, partition, place.upto):
            missing = [letter for letter in letters if letter.key not in place.there]
            for at in range(0, len(missing), _AT_ONCE):
                some = add_records(self._source, self._namespace.topic_id, partition, missing[at : at + _AT_ONCE])
                pairs = [(letter.key, encode_dead_letter(letter)) for letter in some]
                place.seen = send_letters(self._letters, partition % self._spread, pairs)
            sent += len(missing)
            place.upto = upto
            if missing:
                self._write_note(partition, place)
        if place.upto > begun:
            self._write_note(partition, place)
        self._places[partition] = place
        return sent

    def _find_place(self, partition: int) -> _Place:
        note = self._read_note(partition)
        there, _ = read_keys(self._letters, partition % self._spread, note.seen)
        return _Place(note.upto, note.seen, there)

    def _read_note(self, partition: int) -> _Note:
        try:
            note = msgspec.json.decode(self._root.below(self._namespace.place(partition)).read(_NOTE), type=_Note)
        except (FileNotFoundError, msgspec.MsgspecError):
            note = _Note("", 0, 0)
        return note if note.topic_id == self._topic_id else _Note(self._topic_id, 0, 0)

    def _write_note(self, partition: int, place: _Place) -> None:
        note = _Note(self._topic_id, place.upto, place.seen)
        self._root.below(self._namespace.place(partition)).overwrite(_NOTE, msgspec.json.encode(note))


def add_records(kafka: KafkaSpec, topic_id: str, partition: int, letters: Sequence[DeadLetter]) -> Iterator[DeadLetter]:
    """Add to each letter about a record that is no message that record, if the topic still has it."""
    wanted = [letter.offset for letter in letters if letter.status == Status.BAD_MESSAGE]
    records: dict[int, bytes] = {}
    if wanted and describe_topic(kafka).topic_id == topic_id:
        records = fetch_records(kafka, partition, wanted)
    for letter in letters:
        yield msgspec.structs.replace(letter, record=records.get(letter.offset))


def carry_letters(spec: FleetSpec) -> int:
    """Bring what the newest ensemble's chains have to the dead letters' topic; returns how many letters were missing.

    Raises ConfigError where none is configured, SourceError, StoreError.
    """
    kafka = spec.kafka
    if kafka.dead_letters is None:
        raise ConfigError("kafka.dead_letters: expected a topic, got none; name one, or write a file with --out")
    root, namespace, partitions = _newest(spec)
    return Courier(kafka, kafka.dead_letters, root, namespace).deliver(partitions)


def write_letters(spec: FleetSpec, path: Path) -> int:
    """Write every dead letter of the newest ensemble's chains to a .jsonl or .parquet file; returns how many.

    Raises ConfigError for another kind of file, SourceError, StoreError.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise ConfigError(f"--out: expected a .jsonl or .parquet file, got {path}")
    root, namespace, partitions = _newest(spec)
    letters: list[DeadLetter] = []
    for partition in partitions:
        for some, _ in failed_rows(root, namespace, partition, 0):
            kafka = spec.kafka_section
            letters += some if kafka is None else add_records(kafka, namespace.topic_id, partition, some)
    if path.suffix == ".jsonl":
        path.write_bytes(b"".join(encode_dead_letter(letter) + b"\n" for letter in letters))
    else:
        pq.write_table(pa.Table.from_pylist([_as_row(letter) for letter in letters], _PARQUET), path)
    return len(letters)


def _as_row(letter: DeadLetter) -> dict[str, object]:
    return {name: getattr(letter, name) for name in letter.__struct_fields__}


def _newest(spec: FleetSpec) -> tuple[Folder, Namespace, list[int]]:
    """The store, and the newest ensemble's namespace and partitions in it."""
    topic = open_topic(spec)
    root = open_folder(spec.store.path, spec.store.timeout_s)
    with ThreadPoolExecutor(16, thread_name_prefix="chains") as pool:
        chains = newest_chains(root.below(topic_place(topic.name, topic.topic_id)), pool)
    if not chains:
        raise StoreError(f"{root.path}: found no published segment of {topic.name}; run the stream first")
    _, facts = next(iter(chains.values()))
    return root, Namespace(facts.topic, facts.topic_id, facts.ensemble_id, facts.classes), sorted(chains)


def letters_carrier(
    kafka: KafkaSpec, topic: str, root: Folder, namespace: Namespace, partitions: Sequence[int]
) -> Callable[[RunProgress], None]:
    """Something to call with how far a run is: brings what was left lying, then what chains have grown by."""
    courier = Courier(kafka, topic, root, namespace)
    left_lying = list(partitions)

    def carry(progress: RunProgress) -> None:
        while left_lying:
            courier.deliver(left_lying[-1:])
            left_lying.pop()
        courier.deliver(courier.behind(progress.readings.published))

    return carry
