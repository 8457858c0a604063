"""Protobuf messages, by a descriptor set."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from fleetsift.errors import MissingExtra

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message


def protobuf_reader(descriptors: bytes, name: str) -> Callable[[bytes], Mapping[str, Any]]:
    """What reads the fields of one message; raises ValueError or KeyError where the descriptors do not have it.

    Fields that the descriptors do not know are kept too, as `field_12`.
    """
    if importlib.util.find_spec("google.protobuf") is None:
        raise MissingExtra("kafka.decoder.protobuf", "protobuf", "protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - an extra
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    pool = descriptor_pool.DescriptorPool()
    try:
        found = descriptor_pb2.FileDescriptorSet.FromString(descriptors)
    except DecodeError as error:
        raise ValueError("it is no descriptor set") from error
    for file in found.file:
        pool.Add(file)
    try:
        kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    except KeyError as error:
        raise ValueError(f"it has no message {name}") from error
    return lambda message: _fields(kind.FromString(message))


def _fields(message: Message) -> dict[str, Any]:
    from google.protobuf.unknown_fields import UnknownFieldSet  # noqa: PLC0415

    known = {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if (message.HasField(field.name) if field.has_presence else getattr(message, field.name) not in ("", b""))
    }
    unknown = {f"field_{field.field_number}": _plain(field.data) for field in UnknownFieldSet(message)}
    return unknown | {name: value for name, value in known.items() if value not in ([], {})}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _single(inner, value[key]) for key in value}
    return [_single(field, one) for one in value] if field.is_repeated else _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named else value
    return value if field.message_type is None else _message(value)


def _message(message: Message) -> Any:
    """A message within a message: Google's own kinds as what they stand for."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        return message.ToDatetime(tzinfo=UTC)
    if name in ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"):
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415

        return MessageToDict(message)
    if name.startswith("google.protobuf.") and name.endswith("Value"):
        return message.value
    return _fields(message)


def _plain(data: Any) -> Any:
    return data if isinstance(data, int | bytes) else str(data)
