"""From YAML text to a checked specification, and from a specification to its JSON Schema."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

import msgspec
import yaml

from fleetsift.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def parse_yaml(text: str | bytes, kind: type[T], name: str) -> T:
    """Read YAML into a specification.

    Raises ConfigError in one line that names the file, the field, what was expected and what to do.
    """
    try:
        return msgspec.convert(yaml.safe_load(text), kind)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError(f"{name}{where}: expected YAML, {what}; mend the line") from error
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), kind, name)) from error


def json_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a specification, with the descriptions an editor shows."""
    schema = msgspec.json.schema(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _explain(message: str, kind: type[msgspec.Struct], name: str) -> str:
    """Turn "Expected `int`, got `str` - at `$.store.flush_rows`" into a line that starts with the field."""
    what, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.+?)`", what)
    if unknown:
        near = difflib.get_close_matches(unknown[1], _names(kind), n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it"
        return f"{name} {_join(field, unknown[1])}: unknown field; {remedy}"
    missing = re.search(r"missing required field `(.+?)`", what)
    if missing:
        return f"{name} {_join(field, missing[1])}: missing; add it (`fleetsift init` writes a commented example)"
    return f"{name} {field or 'top level'}: {what[0].lower()}{what[1:].replace('`', '')}; mend it"


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}" if path else leaf


def _names(kind: type[msgspec.Struct]) -> set[str]:
    """Every field name in the specification, however deep."""
    definitions = json_schema(kind)["$defs"]
    return {name for definition in definitions.values() for name in definition.get("properties", {})}
