"""Resuming costs a handful of requests and no listing, however long the chain has grown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from fleetsift.store.chain import Namespace, verify_end
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.segments import SegmentFacts, encode_segment, segment_name
from tests.s3 import FaultyProxy, S3Server
from tests.store.conftest import NAMESPACE

LENGTH = 100_000
FIRST = 10**9  # so that all numbers in the footers are equally long
TABLE = pa.table({"offset": pa.array([], pa.int64()), "status": pa.array([], pa.string())})


def tiny_segment(namespace: Namespace, start: int, upto: int) -> bytes:
    facts = SegmentFacts(
        topic=namespace.topic,
        topic_id=namespace.topic_id,
        partition=0,
        ensemble_id=namespace.ensemble_id,
        classes=(),
        start=start,
        next=upto,
        rows=0,
        statuses={},
        writer="w",
        written_at=datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    )
    return encode_segment(TABLE, facts)


def make_chain(folder: Path) -> None:
    """The first segment claims [0, FIRST), the others an offset each: one is written, and copied with new numbers."""
    folder.mkdir(parents=True)
    (folder / segment_name(0)).write_bytes(tiny_segment(NAMESPACE, 0, FIRST))
    template = tiny_segment(NAMESPACE, FIRST, FIRST + 1)
    numbers = b'"start":%d,"next":%d'
    assert numbers % (FIRST, FIRST + 1) in template
    for start in range(FIRST, FIRST + LENGTH - 2):
        data = template.replace(numbers % (FIRST, FIRST + 1), numbers % (start, start + 1))
        (folder / segment_name(start)).write_bytes(data)
    last = FIRST + LENGTH - 2
    (folder / segment_name(last)).write_bytes(tiny_segment(NAMESPACE, last, last + 1))
    (folder / ".end").write_bytes(b"%d" % last)


@pytest.fixture(scope="module")
def long_store(s3: S3Server) -> Path:
    """A store that is a bucket too, as the server keeps objects as files."""
    store = s3.data / "long-chain"
    make_chain(Path(NAMESPACE.folder(open_folder(store), 0).path))
    return store


def end_of(folder: Folder) -> int:
    last = verify_end(folder, NAMESPACE, 0)
    assert last is not None
    return last.next


@pytest.mark.slow
def test_a_chain_of_100_000_segments_is_resumed_at_once(
    long_store: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk and on S3 the same few reads; listings none.

    Measured on two crowded cores, seconds on the disk and on S3 (versitygw, some 30 ms a request in a folder this
    large): the hint is right 0.0005 and 0.11, one segment behind 0.0004 and 0.18, thirty behind 0.0014 and 1.7.
    Without a hint the listing takes 0.66 and 39 (100 pages).
    """
    on_disk = NAMESPACE.folder(open_folder(long_store), 0)
    hint = Path(on_disk.path) / ".end"
    with FaultyProxy(s3.port).run() as proxy:
        for name, value in s3.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        on_s3 = NAMESPACE.folder(open_folder("s3://long-chain"), 0)
        for behind in (0, 1, 30):
            hint.write_bytes(b"%d" % (FIRST + LENGTH - 2 - behind))
            proxy.asked.clear()
            assert end_of(on_disk) == end_of(on_s3) == FIRST + LENGTH - 1
            # the hint, a footer a step, the name that is not there, and the last segment whole
            assert len(proxy.asked) == 1 + (behind + 1) + 1 + 1
            assert not [asked for asked in proxy.asked if "list-type" in asked]
    hint.unlink()
    assert end_of(on_disk) == FIRST + LENGTH - 1
