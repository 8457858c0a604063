"""The Kafka message: a UTF-8 JSON object that announces one frame.

Fields it does not know are kept, in `metadata`; what it cannot understand becomes a reference with a problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.status import Problem, Status

Name = Annotated[str, Meta(min_length=1, max_length=1024)]


class FrameMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One frame of a fleet, as a producer writes it."""

    frame_id: Annotated[Name, Meta(description="Names the frame; the same frame sent twice is selected once.")]
    session_id: Annotated[Name, Meta(description="The drive or run that the frame belongs to; caps count by it.")]
    uri: Annotated[str, Meta(min_length=1, max_length=4096, description="Where the pixels are, below a frame root.")]
    captured_at: Annotated[datetime, Meta(tz=True, description="RFC 3339 with a time zone.")] | None = None
    vehicle_id: Name | None = None
    camera: Name | None = None
    metadata: Annotated[
        dict[str, Any], Meta(description="Anything else but secrets, kept as it is sent; declared keys become columns.")
    ] = msgspec.field(default_factory=dict)


_REDACTED = "redacted"
_FIELDS = frozenset(FrameMessage.__struct_fields__)


def encode_message(message: FrameMessage) -> bytes:
    """Write a message as the JSON that goes on the topic."""
    return msgspec.json.encode(message)


def parse_message(record: bytes | None, position: Position) -> FrameRef:
    """Read one record; whatever is wrong with it becomes the reference's problem, never an exception."""
    try:
        fields = msgspec.json.decode(record or b"", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return bad_message(position, "the record is empty" if not record else str(error))
    return read_fields(fields, position)


def read_fields(fields: Mapping[str, Any], position: Position) -> FrameRef:
    """Read one record's fields by name, whatever they were written in; what is no field of a message is metadata."""
    known = {key: value for key, value in fields.items() if key in _FIELDS}
    try:
        message = msgspec.convert(known, FrameMessage)
        captured_at = None if message.captured_at is None else message.captured_at.astimezone(UTC)
    except (msgspec.MsgspecError, OverflowError) as error:
        return bad_message(position, str(error))
    unknown = {key: value for key, value in fields.items() if key not in _FIELDS}
    return FrameRef(
        position=position,
        frame_id=message.frame_id,
        session_id=message.session_id,
        uri=without_secrets(message.uri),
        captured_at=captured_at,
        vehicle_id=message.vehicle_id,
        camera=message.camera,
        metadata=unknown | message.metadata,
    )


def without_secrets(uri: str) -> str:
    """An address without what may be keys in it: rows, reasons and logs repeat it, and no such address is ever read."""
    scheme, _, rest = uri.partition("://")
    if not rest or scheme == "file":
        return uri
    place, query, _ = rest.partition("?")
    authority, slash, path = place.partition("/")
    user, at, host = authority.rpartition("@")
    return f"{scheme}://{_REDACTED if user else ''}{at}{host}{slash}{path}{query}{_REDACTED if query else ''}"


def bad_message(position: Position, reason: str) -> FrameRef:
    """The reference that a record becomes which cannot be understood."""
    return FrameRef(position, problem=Problem(Status.BAD_MESSAGE, reason))
