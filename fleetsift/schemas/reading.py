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
        there_are = sorted({name for form in _at(json_schema(kind), field) for name in form.get("properties", ())})
        near = difflib.get_close_matches(unknown[1], there_are, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"remove it, there are {', '.join(there_are)}"
        return f"{name} {_join(field, unknown[1])}: unknown field; {remedy}"
    missing = re.search(r"missing required field `(.+?)`", what)
    if missing:
        return f"{name} {_join(field, missing[1])}: missing; add it (`fleetsift init` writes a commented example)"
    expected = f"{what[0].lower()}{what[1:].replace('`', '')}"
    return f"{name} {field or 'top level'}: {expected}{_hint(kind, field)}; mend it"


def _hint(kind: type[msgspec.Struct], field: str) -> str:
    """What there is to choose from, or what the field is for, in brackets."""
    properties = _at(json_schema(kind), field)
    choices = sorted({str(choice) for property_ in properties for choice in property_.get("enum", ())})
    if choices:
        return f" (one of {', '.join(choices)})"
    descriptions = {property_["description"] for property_ in properties if "description" in property_}
    return f" ({descriptions.pop().rstrip('.')})" if len(descriptions) == 1 else ""


def _at(schema: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """What the schema says of a field such as `objectives[0].kind`, in each form that it may have there."""
    found = _forms(schema, schema)
    for step in re.findall(r"\w+|\[\d+\]", field):
        if step.startswith("["):
            found = [form["items"] for form in found if isinstance(form.get("items"), dict)]
        else:
            found = [form["properties"][step] for form in found if step in form.get("properties", {})]
        found = [form for part in found for form in _forms(schema, part)]
    return found


def _forms(schema: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """A part of a schema and everything that it refers to or may be, each with what is said beside the reference."""
    forms = [part]
    for form in forms:  # it grows
        beside = {key: value for key, value in form.items() if key == "description"}
        if "$ref" in form:
            forms.append(schema["$defs"][form["$ref"].rpartition("/")[2]] | beside)
        forms.extend(choice | beside for choice in form.get("anyOf", ()))
    return forms


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}" if path else leaf
