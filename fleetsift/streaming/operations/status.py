"""How far a stream is, from its store and its source alone: from any machine, while a run goes on or when none does."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleetsift.errors import StoreError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import read_end, topic_place
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.segments import SegmentFacts, read_facts, segment_name
from fleetsift.streaming.topics import open_topic

_AT_ONCE = 16  # chains that are asked at once
_STORE_PATIENCE_S = 5.0  # with each of two tries: somebody waits
_LEAST_WINDOW_S = 60.0
_MOST_STEPS = 50  # segments that are looked at of each chain, from its end backwards


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far one partition is."""

    partition: int
    chain_end: int  # the offset its chain goes on from
    lag: int | None  # references that are not published; None where the source did not say in time
    rows: dict[str, int]  # of its chain, by status
    rows_per_s: float  # published lately
    rowless_offsets: int  # claimed without a row: transaction markers, compacted records, gaps that were sealed
    published_at: str | None  # RFC 3339, UTC
    lost: str | None = None  # why the source cannot be read on from the chain's end


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """How far a stream is, of the ensemble that has published last."""

    topic: str
    topic_id: str
    ensemble_id: str | None  # None where nothing is published yet
    store: str
    at: str  # RFC 3339, UTC
    window_s: float  # that rows_per_s are over
    partitions: list[PartitionStatus]


def read_status(spec: FleetSpec) -> FleetStatus:
    """Ask the store and the source; raises SourceSilent or StoreSilent, within seconds, where they do not answer."""
    topic = open_topic(spec)
    root = open_folder(spec.store.path, min(spec.store.timeout_s, _STORE_PATIENCE_S), retries=1)
    now = datetime.now(UTC)
    window_s = max(_LEAST_WINDOW_S, 5 * spec.store.flush_s)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="status") as pool:
        chains = newest_chains(root.below(topic_place(topic.name, topic.topic_id)), pool)
        ends = {p: chains[p][1].next if p in chains else 0 for p in topic.partitions}
        lag = topic.lag(ends)
        since = now - timedelta(seconds=window_s)
        recent = dict(zip(chains, pool.map(lambda end: _rows_since(end, since), chains.values()), strict=True))

    def status(partition: int) -> PartitionStatus:
        last = chains[partition][1] if partition in chains else None
        rows = dict(last.so_far) if last else {}
        return PartitionStatus(
            partition=partition,
            chain_end=ends[partition],
            lag=lag.unread.get(partition),
            rows=rows,
            rows_per_s=recent.get(partition, 0) / window_s,
            rowless_offsets=ends[partition] - sum(rows.values()),
            published_at=last.written_at if last else None,
            lost=lag.lost[partition].reason if partition in lag.lost else None,
        )

    ensemble_id = next((last.ensemble_id for _, last in chains.values()), None)
    partitions = [status(partition) for partition in topic.partitions]
    at = now.isoformat(timespec="seconds")
    return FleetStatus(topic.name, topic.topic_id, ensemble_id, root.path, at, window_s, partitions)


_Chain = tuple[Folder, SegmentFacts]


def newest_chains(topic: Folder, pool: ThreadPoolExecutor) -> dict[int, _Chain]:
    """The chains of the ensemble that has published last, by partition, each with its last segment."""
    newest: dict[int, _Chain] = {}
    for ensemble in topic.folders():
        chains = [topic.below(ensemble).below(name) for name in topic.below(ensemble).folders()]
        ends = zip(chains, pool.map(read_end, chains), strict=True)
        found = {facts.partition: (chain, facts) for chain, facts in ends if facts}
        if _written_at(found) > _written_at(newest):
            newest = found
    return newest


def _written_at(chains: Mapping[int, _Chain]) -> str:
    return max((facts.written_at for _, facts in chains.values()), default="")


def _rows_since(end: _Chain, since: datetime) -> int:
    """Rows published since some time, found from the chain's end backwards."""
    chain, facts = end
    rows = 0
    for _ in range(_MOST_STEPS):
        if datetime.fromisoformat(facts.written_at) < since:
            break
        rows += facts.rows
        if facts.previous is None:
            break
        try:
            facts = read_facts(chain, segment_name(facts.previous))
        except (FileNotFoundError, StoreError):  # pruned, or damaged: what is newer is known
            break
    return rows
