"""One message in JSON, Avro and Protobuf is one reference; what cannot be read has its reason."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.configuration import read_fleet
from fleetsift.errors import ConfigError
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.frames import Position
from fleetsift.schemas.messages import parse_message
from fleetsift.schemas.sources import AvroSpec, DecoderSpec, ProtobufSpec
from fleetsift.schemas.status import Status
from fleetsift.streaming.kafka.topic import create_topic
from fleetsift.streaming.messages.decoders import Decoder, open_decoder
from tests.oracle import check_store, produce
from tests.streaming.conftest import run_once

fastavro = pytest.importorskip("fastavro", reason="Avro needs fastavro (extra `avro`)")
pytest.importorskip("google.protobuf", reason="Protobuf needs its package (extra `protobuf`)")

from google.protobuf import (  # noqa: E402
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    timestamp_pb2,
)

HERE = Position("t", 0, 7)
OPTIONAL_STRING = ["null", "string"]
FIELDS: list[dict[str, Any]] = [
    {"name": "frame_id", "type": "string"},
    {"name": "session_id", "type": "string"},
    {"name": "uri", "type": "string"},
    {"name": "captured_at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
    {"name": "vehicle_id", "type": OPTIONAL_STRING},
    {"name": "camera", "type": OPTIONAL_STRING},
    {"name": "gear", "type": ["null", "long"]},
    {"name": "rain", "type": ["null", "boolean"]},
    {"name": "weather", "type": ["null", {"type": "enum", "name": "W", "symbols": ["CLEAR", "FOG"]}]},
    {"name": "labels", "type": ["null", {"type": "array", "items": "string"}]},
    {"name": "metadata", "type": ["null", {"type": "map", "values": "string"}]},
]
SCHEMA = {"type": "record", "name": "Frame", "fields": FIELDS}


def descriptors() -> bytes:
    """What protoc would write for a message of the same fields."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="frame.proto", package="fleet.v1", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    weather = file.enum_type.add(name="Weather")
    weather.value.add(name="CLEAR", number=0)
    weather.value.add(name="FOG", number=1)
    frame = file.message_type.add(name="Frame")
    entry = frame.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        entry.field.add(name=name, number=number, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    of_fields = {
        "frame_id": (kind.TYPE_STRING, ""),
        "session_id": (kind.TYPE_STRING, ""),
        "uri": (kind.TYPE_STRING, ""),
        "captured_at": (kind.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
        "vehicle_id": (kind.TYPE_STRING, ""),
        "camera": (kind.TYPE_STRING, ""),
        "gear": (kind.TYPE_INT64, ""),
        "rain": (kind.TYPE_BOOL, ""),
        "weather": (kind.TYPE_ENUM, ".fleet.v1.Weather"),
        "labels": (kind.TYPE_STRING, ""),
        "metadata": (kind.TYPE_MESSAGE, ".fleet.v1.Frame.MetadataEntry"),
    }
    for number, (name, (type_, type_name)) in enumerate(of_fields.items(), start=1):
        repeated = name in ("labels", "metadata")
        added = frame.field.add(name=name, number=number, type=type_, type_name=type_name or None)
        added.label = kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL
        if name in ("gear", "rain", "weather"):
            added.proto3_optional, added.oneof_index = True, len(frame.oneof_decl)
            frame.oneof_decl.add(name=f"_{name}")
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    return bytes(descriptor_pb2.FileDescriptorSet(file=[stamp, file]).SerializeToString())


def to_avro(fields: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    absent = dict.fromkeys(field["name"] for field in FIELDS)
    fastavro.schemaless_writer(sink, fastavro.parse_schema(SCHEMA), absent | fields)
    return sink.getvalue()


def to_protobuf(fields: dict[str, Any]) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors()).file:
        pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("fleet.v1.Frame"))()
    for name, value in fields.items():
        if name == "captured_at":
            message.captured_at.FromDatetime(value)
        elif name == "metadata":
            message.metadata.update(value)
        elif name == "labels":
            message.labels.extend(value)
        elif name == "weather":
            message.weather = ("CLEAR", "FOG").index(value)
        else:
            setattr(message, name, value)
    return bytes(message.SerializeToString())


def to_json(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields)


def spec_of(kind: str, folder: Path, *, registry_header: bool = False) -> DecoderSpec:
    (folder / "frame.avsc").write_text(json.dumps(SCHEMA))
    (folder / "frame.pb").write_bytes(descriptors())
    if kind == "avro":
        return DecoderSpec(avro=AvroSpec(schema=str(folder / "frame.avsc")), registry_header=registry_header)
    protobuf = ProtobufSpec(descriptor=str(folder / "frame.pb"), message="fleet.v1.Frame")
    return DecoderSpec(protobuf=protobuf, registry_header=registry_header)


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Decoder]:
    folder = tmp_path_factory.mktemp("schemas")
    return {kind: open_decoder(spec_of(kind, folder)) for kind in ("avro", "protobuf")}


WRITERS: dict[str, Callable[[dict[str, Any]], bytes]] = {"avro": to_avro, "protobuf": to_protobuf}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
MESSAGES = st.fixed_dictionaries(
    {"frame_id": TEXT, "session_id": TEXT, "uri": TEXT},
    optional={
        "captured_at": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
        "vehicle_id": TEXT,
        "camera": TEXT,
        "gear": st.integers(-(2**63), 2**63 - 1),
        "rain": st.booleans(),
        "weather": st.sampled_from(["CLEAR", "FOG"]),
        "labels": st.lists(TEXT, min_size=1, max_size=3),
        "metadata": st.dictionaries(TEXT, TEXT, min_size=1, max_size=3),
    },
)


@given(MESSAGES)
def test_a_message_is_the_same_reference_in_whatever_it_is_written(
    decoders: dict[str, Decoder], fields: dict[str, Any]
) -> None:
    expected = parse_message(to_json(fields), HERE)
    assert expected.problem is None
    for kind, decode in decoders.items():
        assert decode(WRITERS[kind](fields), HERE) == expected, kind


@given(st.binary(max_size=80), st.sampled_from(["avro", "protobuf"]), st.integers(0, 10**6))
def test_whatever_comes_is_a_reference(decoders: dict[str, Decoder], noise: bytes, kind: str, at: int) -> None:
    whole = WRITERS[kind]({"frame_id": "f", "session_id": "s", "uri": "u", "gear": 3})
    at %= len(whole) + 1
    for record in (noise, whole[:at], whole[:at] + noise + whole[at:], None, b""):
        ref = decoders[kind](record, HERE)
        assert ref.position == HERE
        assert ref.frame_id is not None or (ref.problem is not None and ref.problem.status is Status.BAD_MESSAGE)


def test_fields_that_the_descriptor_does_not_know_are_kept(decoders: dict[str, Decoder]) -> None:
    extra = b"\xa0\x06\x2a" + b"\xaa\x06\x02hi"  # field 100, varint 42, and field 101, two bytes
    ref = decoders["protobuf"](to_protobuf({"frame_id": "f", "session_id": "s", "uri": "u"}) + extra, HERE)
    assert ref.metadata == {"field_100": 42, "field_101": b"hi"}


@pytest.mark.parametrize("kind", ["avro", "protobuf"])
def test_a_schema_registrys_header_is_passed_over(tmp_path: Path, kind: str) -> None:
    decode = open_decoder(spec_of(kind, tmp_path, registry_header=True))
    body = WRITERS[kind]({"frame_id": "f", "session_id": "s", "uri": "u"})
    headers = [b"\0\0\0\0\7"] if kind == "avro" else [b"\0\0\0\0\7\0", b"\0\0\0\0\7\4\2\0"]
    for header in headers:
        assert decode(header + body, HERE).frame_id == "f"
    for record in (body, b"\0", b"\1\0\0\0\7" + body, b"\0\0\0\0\7\xff"):
        problem = decode(record, HERE).problem
        assert problem is not None, record
        assert problem.status is Status.BAD_MESSAGE


def test_what_cannot_be_a_schema_is_refused(tmp_path: Path) -> None:
    good = spec_of("avro", tmp_path)
    (tmp_path / "bad").write_bytes(b"\xff{")
    (tmp_path / "string.avsc").write_text('"string"')
    (tmp_path / "odd.avsc").write_text('{"type": "poem"}')
    for name in ("none", "bad", "string.avsc", "odd.avsc"):
        with pytest.raises(ConfigError, match=rf"kafka\.decoder\.avro\.schema: .*{name} can"):
            open_decoder(msgspec.structs.replace(good, avro=AvroSpec(schema=str(tmp_path / name))))
    for descriptor, message in (("none", "fleet.v1.Frame"), ("bad", "fleet.v1.Frame"), ("frame.pb", "fleet.v2.Frame")):
        spec = ProtobufSpec(descriptor=str(tmp_path / descriptor), message=message)
        with pytest.raises(ConfigError, match=rf"kafka\.decoder\.protobuf: .*{descriptor} can"):
            open_decoder(DecoderSpec(protobuf=spec))


def test_the_section_names_files_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    rest = "frames: {roots: [.]}\nensemble: e.yaml\nstore: {path: s}\n"
    kafka = "kafka: {brokers: ['h:1'], topic: t, decoder: DECODER}\n"
    path.write_text(kafka.replace("DECODER", "{avro: {schema: frame.avsc}}") + rest)
    decoder = read_fleet(path).kafka.decoder
    assert isinstance(decoder, DecoderSpec)
    assert decoder.avro == AvroSpec(schema=str(tmp_path / "frame.avsc"))
    path.write_text(kafka.replace("DECODER", "json") + rest)
    assert read_fleet(path).kafka.decoder == "json"
    for wrong in ("{}", "xml", "{avro: {schema: a}, protobuf: {descriptor: a, message: b}}"):
        path.write_text(kafka.replace("DECODER", wrong) + rest)
        with pytest.raises(ConfigError, match=r"kafka\.decoder"):
            read_fleet(path)


@pytest.mark.parametrize("kind", ["avro", "protobuf"])
def test_a_topic_of_other_messages_through_the_hot_path(
    new_fleet: Callable[..., FleetSpec], tmp_path: Path, kind: str
) -> None:
    spec = new_fleet(partitions=2)
    kafka = msgspec.structs.replace(spec.kafka, decoder=spec_of(kind, tmp_path))
    spec = msgspec.structs.replace(spec, kafka_section=kafka, metadata={"gear": "bigint"})
    create_topic(kafka)
    records: list[tuple[str | None, bytes, int | None]] = [
        (f"f{n}", WRITERS[kind]({"frame_id": f"f{n}", "session_id": "s", "uri": "good.jpg", "gear": n}), n % 2)
        for n in range(10)
    ]
    records.append((None, b"\xff\xff\xff", 0))
    acknowledged = produce(kafka.brokers[0], kafka.topic, records)
    assert run_once(spec).rows == {"ok": 10, "bad_message": 1}
    assert check_store(spec.store.path, acknowledged) == {"ok": 10, "bad_message": 1}
