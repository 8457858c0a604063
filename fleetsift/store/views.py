"""The reading end of the score store: SQL over its rows through DuckDB, and nothing but SQL.

View `frames` is one row a frame of the newest ensemble, status ok, or one row a region of one, where the store was
opened for regions; view `rows` is everything; view `segments` is one row a segment, with the `gap` that it seals, if
any. A topic that was deleted and made again has two chains, whose rows `topic_id` tells apart.
User SQL runs in a DuckDB that may read the store's folder and nothing else, cannot load extensions or change its
settings, and takes SELECT statements only.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from fleetsift.errors import QueryError, StoreError
from fleetsift.objects import is_url
from fleetsift.schemas.selection import Unit
from fleetsift.store.as_of import AsOf, expect_still_there, snapshot_of
from fleetsift.store.folder import open_folder
from fleetsift.store.merged import list_chains, merged_end
from fleetsift.store.regions import regions_query
from fleetsift.store.remote import PublishedObjects
from fleetsift.store.rows import SCHEMA_VERSION
from fleetsift.store.segments import FACTS_KEY, SegmentFacts, read_facts

# Read from every footer when it is asked, and not before.
_SEGMENTS = """
SELECT facts->>'topic' AS topic, (facts->>'partition')::INTEGER AS "partition", (facts->>'start')::BIGINT AS "start",
  (facts->>'next')::BIGINT AS "next", (facts->>'rows')::BIGINT AS "rows", coalesce(facts->>'gap', '') AS gap,
  facts->>'ensemble_id' AS ensemble, (facts->>'written_at')::TIMESTAMPTZ AS written_at, file_name AS path
FROM (SELECT decode(value)::JSON AS facts, file_name FROM parquet_kv_metadata($paths) WHERE decode(key) = $key)
"""


# A row's own place is (topic, topic_id, partition, offset); only the folder of its chain says the id.
_WITH_TOPIC_ID = "*, regexp_extract(filename, 'topic=[^/@]*@([^/]*)/ensemble=', 1) AS topic_id"


class ScoreStore:
    """The rows that were published when it was opened."""

    def __init__(self, path: str | Path, unit: Unit = "frame", as_of: AsOf | None = None) -> None:
        """Open a store, its view `frames` as of some earlier state where that is asked for.

        Raises StoreError where there is none, nothing in it yet, no regions though meant, or not what it had then.
        """
        root = open_folder(path)
        chains = list_chains(root)
        if not chains:
            raise StoreError(f"{path}: expected a score store, found no published segment; run the stream first")
        ends = [read_facts(root, chain.segments[-1]) for chain in chains]
        if any(end.version > SCHEMA_VERSION for end in ends):
            raise StoreError(f"{path}: expected rows of version {SCHEMA_VERSION}, found newer ones; upgrade fleetsift")
        if as_of:
            expect_still_there(as_of, ends, root.path)
        ours = [end for end in ends if end.ensemble_id == as_of.ensemble_id] if as_of else ends
        newest = max(ours, key=lambda end: (end.written_at, end.ensemble_id))
        self.path = root.path
        self.unit: Unit = unit
        self.ensemble_id = newest.ensemble_id
        self.classes = newest.classes
        self._as_of = as_of or AsOf(
            newest.ensemble_id, snapshot_of(end for end in ends if end.ensemble_id == newest.ensemble_id)
        )
        self._connection = _connect()
        if is_url(root.path):
            self._connection.register_filesystem(PublishedObjects(root.path.partition("://")[0]))
        files = [chain.covering(merged_end(root, chain)) for chain in chains]
        self._define_views(list(zip(ends, files, strict=True)), whole=as_of is None)
        self._define_segments([name for chain in chains for name in chain.segments])
        _lock(self._connection, root.path)

    def sql(self, query: str, params: Sequence[object] | None = None) -> duckdb.DuckDBPyRelation:
        """Answer one SELECT over the views `frames` and `rows`; raises QueryError in one line otherwise.

        The relation is computed when it is read: reading it belongs into `query_errors` as well.
        """
        with query_errors():
            statements = self._connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
                raise QueryError(f"query: expected one SELECT, got {kinds}; the store is read-only")
            return self._connection.sql(query, params=params)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """The chain ends of the ensemble in `frames`: topic@id -> partition -> the offset its rows reach to."""
        return {topic: dict(ends) for topic, ends in self._as_of.snapshot.items()}

    def close(self) -> None:
        """Let go of the files; relations that `sql` gave end with it."""
        self._connection.close()

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _define_views(self, chains: list[tuple[SegmentFacts, list[str]]], *, whole: bool) -> None:
        everything = [name for _, names in chains for name in names]
        newest = [name for end, names in chains if end.ensemble_id == self.ensemble_id for name in names]
        self._scan(everything).create_view("rows")
        scored = self._scan(newest).filter("status = 'ok'")
        if not whole:
            self._connection.execute('CREATE TABLE ends (topic TEXT, topic_id TEXT, "partition" INT, reaches BIGINT)')
            self._connection.executemany("INSERT INTO ends VALUES (?, ?, ?, ?)", self._as_of.reaches())
            below = scored.join(self._connection.table("ends"), 'topic, topic_id, "partition"', how="inner")
            scored = below.filter('"offset" < reaches').project("* EXCLUDE (reaches)")
        scored.create_view("scored")
        # A frame sent twice has two rows. They are rare: found once, here, so that no query pays for them.
        self._connection.execute(
            'CREATE TABLE repeated AS SELECT topic, topic_id, "partition", "offset" FROM scored '
            "WHERE frame_id IN (SELECT frame_id FROM scored GROUP BY frame_id HAVING count(*) > 1) "
            'QUALIFY row_number() OVER (PARTITION BY frame_id ORDER BY topic, "partition", "offset", topic_id) > 1'
        )
        repeated = self._connection.table("repeated")
        if len(repeated):
            scored = scored.join(repeated, 'topic, topic_id, "partition", "offset"', how="anti")
        if self.unit == "frame":
            scored.create_view("frames")
            return
        scored.create_view("whole_frames")
        kinds = dict(zip(scored.columns, scored.types, strict=True))
        if "regions" not in kinds:
            raise StoreError(
                f"{self.path}: expected rows with regions, {self.ensemble_id} has none; select whole frames, or score "
                "with a grid"
            )
        shares = any(name == "argmax" for name, _ in kinds["regions"].children)
        query = regions_query("whole_frames", list(kinds), self.classes, shares=shares)
        self._connection.execute(f"CREATE VIEW frames AS {query}")

    def _define_segments(self, names: list[str]) -> None:
        paths = [f"{self.path}/{name}" for name in names]
        self._connection.sql(_SEGMENTS, params={"paths": paths, "key": FACTS_KEY}).create_view("segments")

    def _scan(self, names: list[str]) -> duckdb.DuckDBPyRelation:
        paths = [f"{self.path}/{name}" for name in names]
        return self._connection.read_parquet(paths, union_by_name=True, hive_partitioning=False).project(_WITH_TOPIC_ID)


@contextmanager
def query_errors() -> Iterator[None]:
    """Turn DuckDB's complaints, when a query is read as well as when it is asked, into a QueryError of one line."""
    try:
        yield
    except duckdb.Error as error:
        complaint = str(error).partition("\n\nLINE ")[0]  # a caret under a line means nothing in one line
        remedy = "; `DESCRIBE frames` lists the columns" if isinstance(error, duckdb.BinderException) else ""
        raise QueryError(f"query: {' '.join(complaint.split())}{remedy}") from error


def _connect() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "temp_directory": f"{tempfile.gettempdir()}/fleetsift-spill-{uuid.uuid4().hex}",  # which SQL may read
        }
    )


def _lock(connection: duckdb.DuckDBPyConnection, root: str) -> None:
    """From here on the connection reads below `root` and nowhere else, and its settings stay as they are."""
    connection.execute("SET allowed_directories = $folders", {"folders": [root]})
    connection.execute("SET enable_progress_bar = false")  # it would stand among a verb's answers
    connection.execute("SET TimeZone = 'UTC'; SET enable_external_access = false; SET lock_configuration = true")
