"""The chain on a real S3 server: the same promise, whatever the network does to requests and answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest

from fleetsift.errors import ConfigError, OutcomeUnknown, SegmentCorrupt, StoreError, StoreSilent
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import segment_names
from fleetsift.store.folder import open_folder
from fleetsift.store.rows import RowLayout
from fleetsift.store.segments import segment_name
from fleetsift.store.writer import StoreWriter
from tests.oracle import check_store
from tests.s3 import Fault, FaultyProxy, S3Server, free_port
from tests.store.conftest import NAMESPACE, make_refs, make_scores

Way = Callable[[FaultyProxy], AbstractContextManager[None]]

LAYOUT = RowLayout(NAMESPACE.ensemble_id, 2)


def open_writer(store: str, timeout_s: float = 5.0) -> StoreWriter:
    return StoreWriter(StoreSpec(path=store, timeout_s=timeout_s), NAMESPACE, LAYOUT, [0])


def write(writer: StoreWriter, offsets: list[int]) -> None:
    refs = make_refs(offsets)
    writer.append(refs, make_scores(refs))
    writer.flush()


def check(store: str, count: int) -> None:
    check_store(store, {("frames", 0, offset): f"f-0-{offset}" for offset in range(count)})


@pytest.fixture(params=["bucket", "container"], ids=["s3", "azure"])
def cloud(request: pytest.FixtureRequest) -> str:
    """An address in each of the clouds that a server on loopback stands for."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def through(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Sends what is opened in the block through a proxy."""

    @contextmanager
    def way(proxy: FaultyProxy) -> Iterator[None]:
        with proxy.run(), monkeypatch.context() as patch:
            for name, value in s3.environment(proxy.port).items():
                patch.setenv(name, value)
            yield

    return way


def test_rows_are_published_and_resumed(cloud: str) -> None:
    store = f"{cloud}/deep/scores"
    for begin in (0, 10, 20):
        writer = open_writer(store)
        assert writer.ends() == {0: begin}
        write(writer, list(range(begin, begin + 10)))
    check(store, 30)
    folder = NAMESPACE.folder(open_folder(store), 0)
    assert segment_names(folder) == [segment_name(start) for start in (0, 10, 20)]


def test_the_end_of_an_object_is_read_in_one_request(bucket: str, s3: S3Server, through: Way) -> None:
    """But of an empty one, where servers differ."""
    proxy = FaultyProxy(s3.port)
    with through(proxy):
        folder = open_folder(bucket)
        for name, data in (("ten", b"0123456789"), ("none", b"")):
            folder.overwrite(name, data)
        proxy.asked.clear()
        assert (folder.read("ten", last=4), folder.read("ten", last=99)) == (b"6789", b"0123456789")
        assert len(proxy.asked) == 2
        assert folder.read("none", last=4) == b""


def test_a_zombie_goes_on_after_the_winner(cloud: str, caplog: pytest.LogCaptureFixture) -> None:
    zombie, heir = open_writer(cloud), open_writer(cloud)
    write(heir, [0, 1])
    write(zombie, [0, 1, 2, 3])
    check(cloud, 4)
    assert "another writer published [0, 2)" in caplog.text


def test_of_eight_writers_of_one_key_one_wins_and_nobody_dies(cloud: str) -> None:
    """Ten rounds with small objects, then one of 20 MB, which a server may refuse before it has read it."""
    folder = open_folder(cloud)
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            won = list(pool.map(lambda i, name=f"{number}": folder.create_absent(name, b"%d" % i), range(8)))
            assert won.count(True) == 1
            assert folder.read(f"{number}") == b"%d" % won.index(True)

        def create(i: int) -> bool | None:
            try:
                return folder.create_absent("large", bytes([i]) * 20_000_000)
            except OutcomeUnknown:
                return None

        outcomes = list(pool.map(create, range(8)))
    winner = folder.read("large")
    assert len(winner) == 20_000_000
    assert outcomes.count(True) <= 1
    assert outcomes[winner[0]] is not False


def test_eight_writers_of_one_partition_keep_every_row_once(cloud: str) -> None:
    """Row 19: they all write the same rows; some win a segment, the others go on after it."""

    def work(seed: int) -> None:
        dice, writer, offset = random.Random(seed), open_writer(cloud, 30), 0
        while offset < 60:
            size = dice.randint(3, 12)
            write(writer, list(range(offset, min(60, offset + size))))
            offset += size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    check(cloud, 60)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_end_in_a_bucket_is_refused_and_named(cloud: str, damage: str) -> None:
    """Row 20, where objects lie on a server."""
    write(open_writer(cloud), [0, 1, 2])
    folder = NAMESPACE.folder(open_folder(cloud), 0)
    data = bytearray(folder.read(segment_name(0)))
    data[len(data) // 2] ^= 1
    folder.overwrite(segment_name(0), bytes(data) if damage == "flipped" else bytes(data[:-9]))
    with pytest.raises(SegmentCorrupt, match=segment_name(0)):
        open_writer(cloud)


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.ERROR_503, Fault.REFUSED_AFTER, Fault.LOST_ANSWER])
def test_one_object_a_key_whatever_happens_to_a_put(bucket: str, s3: S3Server, through: Way, fault: Fault) -> None:
    faults = iter([fault, fault])
    proxy = FaultyProxy(s3.port, lambda method, _: next(faults, Fault.NONE) if method == "PUT" else Fault.NONE)
    with through(proxy):
        writer = open_writer(bucket)
        write(writer, [0, 1, 2])
        write(writer, [3, 4])
    check(bucket, 5)


def test_an_answer_that_never_comes_is_looked_for(
    bucket: str, s3: S3Server, through: Way, caplog: pytest.LogCaptureFixture
) -> None:
    faults = iter([Fault.SILENCE])
    proxy = FaultyProxy(s3.port, lambda method, _: next(faults, Fault.NONE) if method == "PUT" else Fault.NONE)
    with through(proxy):
        write(open_writer(bucket, timeout_s=1.0), [0, 1, 2])
    check(bucket, 3)
    assert "another writer" not in caplog.text


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_network_loses_and_doubles_nothing(bucket: str, s3: S3Server, through: Way, seed: int) -> None:
    """A third of all requests fails in one way or another; a writer that gives up is started again."""
    dice = random.Random(seed)
    bad = [Fault.ERROR_500, Fault.ERROR_503, Fault.REFUSED_AFTER, Fault.LOST_ANSWER, Fault.HALF_ANSWER]
    proxy = FaultyProxy(s3.port, lambda *_: dice.choice(bad) if dice.random() < 0.33 else Fault.NONE)
    end = 0
    with through(proxy):
        while end < 40:
            try:
                writer = open_writer(bucket)
                end = writer.ends()[0]
                while end < 40:
                    upto = min(40, end + dice.randint(1, 9))
                    write(writer, list(range(end, upto)))
                    end = upto
            except SegmentCorrupt:
                raise
            except StoreError:
                end = 0
    check(bucket, 40)


def test_a_server_that_is_gone_is_said_in_one_line(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment(free_port()).items():
        monkeypatch.setenv(name, value)
    folder = open_folder(bucket, timeout_s=0.5)
    with pytest.raises(OutcomeUnknown, match="not known whether it was published") as unknown:
        folder.create_absent("one", b"1")
    with pytest.raises(StoreSilent, match="the object store gives no answer") as silent:
        folder.read("one")
    for caught in (unknown, silent):
        assert "\n" not in str(caught.value)
        assert "only-for-tests" not in str(caught.value)


def test_wrong_keys_are_said_in_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
    with pytest.raises(StoreError, match="the object store refuses") as caught:
        open_writer(bucket)
    assert "\n" not in str(caught.value)
    assert "of-somebody-else" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["s3://AKIA:SECRET@bucket/x", "s3://bucket/x?X-Amz-Signature=SECRET", "s3://bucket/#SECRET", "https://SECRET/x"],
)
def test_an_address_with_keys_in_it_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.path: expected s3://") as caught:
        open_folder(address)
    assert "SECRET" not in str(caught.value)
