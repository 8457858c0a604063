"""The message contract: what is understood, what is kept, and that nothing a producer sends can raise."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.schemas.frames import Position
from fleetsift.schemas.messages import FrameMessage, encode_message, parse_message
from fleetsift.schemas.status import Status

HERE = Position("frames", 3, 41)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_a_message_of_the_contract_is_understood() -> None:
    ref = parse_message(
        b'{"frame_id": "f1", "session_id": "s1", "uri": "file:///x.jpg", "captured_at": "2026-03-01T12:00:00.25+02:00",'
        b' "vehicle_id": "v1", "camera": "front", "metadata": {"speed_mps": 3.5}}',
        HERE,
    )
    assert ref.problem is None
    assert (ref.frame_id, ref.session_id, ref.uri) == ("f1", "s1", "file:///x.jpg")
    assert ref.captured_at == datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC)
    assert (ref.vehicle_id, ref.camera, ref.metadata) == ("v1", "front", {"speed_mps": 3.5})
    assert ref.position == HERE


def test_only_three_fields_are_required() -> None:
    ref = parse_message(b'{"frame_id": "f", "session_id": "s", "uri": "u"}', HERE)
    assert ref.problem is None
    assert ref.captured_at is None


def test_unknown_fields_are_kept_and_never_overwrite_metadata() -> None:
    record = b'{"frame_id": "f", "session_id": "s", "uri": "u", "gear": 3, "a": 1, "metadata": {"a": 2}}'
    assert parse_message(record, HERE).metadata == {"gear": 3, "a": 2}


def test_what_is_wrong_is_said() -> None:
    reasons = {
        record: parse_message(record, HERE).problem
        for record in (
            None,
            b"",
            b"not json",
            b"[1]",
            b'{"frame_id": "f", "session_id": "s"}',
            b'{"frame_id": 7, "session_id": "s", "uri": "u"}',
            b'{"frame_id": "", "session_id": "s", "uri": "u"}',
            b'{"frame_id": "f", "session_id": "s", "uri": "u", "captured_at": "2026-03-01T12:00:00"}',
            b'{"frame_id": "f", "session_id": "s", "uri": "u", "captured_at": "0001-01-01T00:00:00+14:00"}',
            b'{"a":' * 100_000,
            b"\xff\xfe",
        )
    }
    for record, problem in reasons.items():
        assert problem is not None, record
        assert problem.status is Status.BAD_MESSAGE
        assert problem.reason
    uri = reasons[b'{"frame_id": "f", "session_id": "s"}']
    assert uri is not None
    assert "uri" in uri.reason


@given(st.binary(max_size=200) | json_values.map(msgspec.json.encode))
def test_no_record_raises(record: bytes) -> None:
    ref = parse_message(record, HERE)
    assert ref.position == HERE
    assert (ref.problem is None) == (ref.frame_id is not None)


@given(
    st.builds(
        FrameMessage,
        frame_id=st.text(min_size=1, max_size=20),
        session_id=st.text(min_size=1, max_size=20),
        uri=st.text(min_size=1, max_size=20),
        captured_at=st.none() | st.datetimes(timezones=st.just(UTC)),
        vehicle_id=st.none() | st.text(min_size=1, max_size=5),
        metadata=st.dictionaries(st.text(max_size=5), st.integers(-(2**60), 2**60) | st.text(max_size=5), max_size=3),
    )
)
def test_what_is_encoded_is_understood(message: FrameMessage) -> None:
    ref = parse_message(encode_message(message), HERE)
    assert ref.problem is None
    for field in ("frame_id", "session_id", "uri", "captured_at", "vehicle_id", "camera", "metadata"):
        assert getattr(ref, field) == getattr(message, field)


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("s3://KEY:SECRET@bucket/a.jpg", "s3://redacted@bucket/a.jpg"),
        ("s3://bucket/a.jpg?X-Amz-Signature=SECRET&X-Amz-Expires=9", "s3://bucket/a.jpg?redacted"),
        ("https://box.blob.core.windows.net/a.jpg?sig=SECRET#t=1", "https://box.blob.core.windows.net/a.jpg?redacted"),
        ("az://:SECRET@box?SECRET", "az://redacted@box?redacted"),
        ("s3://bucket/a b@c.jpg", "s3://bucket/a b@c.jpg"),
        ("s3://bucket/a.mp4#t=1.5", "s3://bucket/a.mp4#t=1.5"),
        ("/data/what?.jpg", "/data/what?.jpg"),
        ("file:///data/a.jpg", "file:///data/a.jpg"),
    ],
)
def test_keys_in_an_address_are_not_kept(uri: str, kept: str) -> None:
    ref = parse_message(encode_message(FrameMessage(frame_id="f", session_id="s", uri=uri)), HERE)
    assert ref.uri == kept
    assert "SECRET" not in repr(ref)
