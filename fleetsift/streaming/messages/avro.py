"""Avro records, by the schema they were written with; the only home of fastavro."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from fleetsift.errors import MissingExtra


def avro_reader(schema: bytes) -> Callable[[bytes], Mapping[str, Any]]:
    """What reads the fields of one record; raises ValueError for a schema that is none, or is not of a record."""
    if importlib.util.find_spec("fastavro") is None:
        raise MissingExtra("kafka.decoder.avro", "fastavro", "avro")
    from fastavro import parse_schema, schemaless_reader  # noqa: PLC0415 - an extra
    from fastavro.schema import SchemaParseException  # noqa: PLC0415

    try:
        parsed = parse_schema(json.loads(schema))
    except SchemaParseException as error:
        raise ValueError(error) from error
    if not isinstance(parsed, dict) or parsed.get("type") != "record":
        raise ValueError("expected the schema of a record")

    def read(message: bytes) -> Mapping[str, Any]:
        body = io.BytesIO(message)
        fields = schemaless_reader(body, parsed, None)
        if body.read(1):
            raise ValueError("the record goes on after its last field")
        return dict(fields)  # type: ignore[arg-type] # a record is a dict

    return read
