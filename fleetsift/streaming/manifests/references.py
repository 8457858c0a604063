"""From a manifest's row to a reference: columns are the message's fields, every other column is metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.messages import FrameMessage, read_fields
from fleetsift.streaming.manifests.places import Place

FIELDS = frozenset(FrameMessage.__struct_fields__)


def row_reference(row: Mapping[str, Any], position: Position, place: Place) -> FrameRef:
    """A row as a reference; a relative uri is meant from where the manifest lies, an empty cell is no field."""
    fields = {key: value for key, value in row.items() if key in FIELDS and value not in (None, "")}
    metadata = {key.removeprefix("metadata."): value for key, value in row.items() if key not in FIELDS}
    own = fields.get("metadata", {})
    fields["metadata"] = metadata | own if isinstance(own, dict) else own
    ref = read_fields(fields, position)
    return replace(ref, uri=place.address(ref.uri)) if ref.uri else ref
