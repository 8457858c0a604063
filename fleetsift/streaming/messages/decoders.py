"""What messages are written in: JSON, Avro or Protobuf; one that cannot be read is a reference with its problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from fleetsift.errors import ConfigError
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.messages import bad_message, parse_message, read_fields
from fleetsift.schemas.sources import DecoderSpec
from fleetsift.streaming.messages.avro import avro_reader
from fleetsift.streaming.messages.protobuf import protobuf_reader

Decoder = Callable[[bytes | None, Position], FrameRef]
T = TypeVar("T")

_HEADER_BYTES = 5  # a zero, and the id of a schema in four bytes


def open_decoder(spec: Literal["json"] | DecoderSpec) -> Decoder:
    """What makes references of messages; raises ConfigError where its file cannot be read, MissingExtra."""
    if isinstance(spec, str):
        return parse_message
    if spec.avro:
        read = _reading(spec.avro.schema, "kafka.decoder.avro.schema", avro_reader)
    elif spec.protobuf:
        name = spec.protobuf.message
        read = _reading(spec.protobuf.descriptor, "kafka.decoder.protobuf", lambda data: protobuf_reader(data, name))
    return _Decoder(read, header=spec.registry_header, indexes=spec.protobuf is not None)


class _Decoder:
    """Reads the fields of a message; what they mean is the same whatever they were written in."""

    def __init__(self, read: Callable[[bytes], Mapping[str, Any]], *, header: bool, indexes: bool) -> None:
        self._read = read
        self._header = header
        self._indexes = indexes

    def __call__(self, record: bytes | None, position: Position) -> FrameRef:
        if not record:
            return bad_message(position, "the record is empty")
        try:
            fields = self._read(self._body(record))
        except Exception as error:  # noqa: BLE001 - whatever hostile bytes make of a foreign reader
            return bad_message(position, f"{type(error).__name__}: {error}"[:300])
        return read_fields({key: value for key, value in fields.items() if value is not None}, position)

    def _body(self, record: bytes) -> bytes:
        if not self._header:
            return record
        if record[0] or len(record) < _HEADER_BYTES:
            raise ValueError("expected a schema registry's header, a zero and four bytes")
        body = record[_HEADER_BYTES:]
        return _after_indexes(body) if self._indexes else body


def _after_indexes(body: bytes) -> bytes:
    """Protobuf's header goes on with which message of the schema it is: how many numbers, and the numbers."""
    count, at = _varint(body, 0)
    for _ in range(count >> 1):  # zigzag, and never below zero
        _, at = _varint(body, at)
    return body[at:]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _reading(path: str, owner: str, make: Callable[[bytes], T]) -> T:
    try:
        return make(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{owner}: {path} cannot be read, {error.strerror}; mend the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{owner}: {path} cannot be meant, {error}; mend the file") from error
