"""A wrong configuration gets one line: which file and field, what was expected, what to do."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
import yaml

from fleetsift.configuration import example_fleet
from fleetsift.errors import ConfigError
from fleetsift.schemas.ensemble import EnsembleSpec
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.messages import FrameMessage
from fleetsift.schemas.reading import json_schema, parse_yaml
from fleetsift.schemas.selection import (
    AreaBalance,
    Balance,
    Cap,
    Diversity,
    Gap,
    Guard,
    Labelled,
    Quota,
    Random,
    Score,
    SelectionSpec,
    Similarity,
    Threshold,
    Typicality,
    resolve_files,
)
from fleetsift.schemas.sources import ManifestSpec

GOOD = """
kafka: {brokers: ["localhost:9092"], topic: frames}
frames: {roots: [.]}
ensemble: ensemble.yaml
store: {path: scores}
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "fleet.yaml line 1, column 2: expected YAML"),
        ("", "fleet.yaml top level: expected object, got null"),
        (GOOD + "workers: {count: 0}", "fleet.yaml workers.count: expected int >= 1"),
        (GOOD + "workers: {cont: 2}", "fleet.yaml workers.cont: unknown field; did you mean count?"),
        (
            GOOD + "operations: {zzz: 2}",
            "fleet.yaml operations.zzz: unknown field; remove it, there are metrics_host, metrics_port",
        ),
        (
            GOOD + "operations: {partitions: 2}",  # a field of another section
            "fleet.yaml operations.partitions: unknown field; remove it, there are metrics_host, metrics_port",
        ),
        (GOOD + "selection: {budget: many}", "fleet.yaml selection.budget: expected int, got str"),
        (GOOD.replace("topic: frames", ""), "fleet.yaml kafka.topic: missing; add it"),
        (GOOD.replace('["localhost:9092"]', "localhost"), "fleet.yaml kafka.brokers: expected array, got str"),
        (
            GOOD.replace("9092", "kafka"),
            "fleet.yaml kafka.brokers[0]: expected str matching regex",
        ),
        (
            GOOD + "selection: {objectives: [{kind: magic}]}",
            "fleet.yaml selection.objectives[0].kind: invalid value 'magic' (one of area_balance, ",
        ),
    ],
)
def test_one_clear_line(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, FleetSpec, "fleet.yaml")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_example_is_valid_and_spells_out_the_defaults() -> None:
    spec = parse_yaml(example_fleet(), FleetSpec, "fleet.yaml")
    least = parse_yaml(GOOD, FleetSpec, "fleet.yaml")
    assert spec.workers == least.workers
    assert spec.selection == least.selection
    assert msgspec.structs.replace(spec.store, path="scores") == least.store


@pytest.mark.parametrize("kind", [FleetSpec, EnsembleSpec, SelectionSpec, FrameMessage])
def test_schemas_are_json_schemas(kind: type[msgspec.Struct]) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


def test_what_the_example_comments_out_can_be_taken_in() -> None:
    text = re.sub(r"(?m)^( +)# (- \{kind: .*)$", r"\1\2", example_fleet())
    selection = parse_yaml(text, FleetSpec, "fleet.yaml").selection
    assert {type(o) for o in selection.objectives} == {
        *(Score, Diversity, Random, Similarity, Typicality, Balance, AreaBalance)
    }
    assert {type(c) for c in selection.constraints} == {Cap, Gap, Quota, Threshold, Guard}


def test_the_sections_that_the_example_comments_out_can_be_taken_in() -> None:
    """A manifest instead of kafka, decoders one after the other, and every commented key of the frames."""
    text = example_fleet()
    for decoder in re.findall(r"(?m)^  # (decoder: \{.*\})", text):
        assert parse_yaml(text.replace(f"# {decoder}", decoder), FleetSpec, "fleet.yaml").kafka.decoder != "json"
    for line in re.findall(r"(?m)^  # (formats: .*|outage_s: .*)$", text):
        assert (
            parse_yaml(text.replace(f"# {line}", line), FleetSpec, "fleet.yaml").frames
            != parse_yaml(text, FleetSpec, "fleet.yaml").frames
        )
    kafka, manifest = text[text.index("kafka:") : text.index("# manifest:")], text[text.index("# manifest:") :]
    manifest = manifest[: manifest.index("\n\n")]
    swapped = text.replace(kafka, "").replace(manifest, re.sub(r"(?m)^# ", "", manifest))
    spec = parse_yaml(swapped, FleetSpec, "fleet.yaml")
    assert spec.manifest == ManifestSpec(path="frames.parquet", rows_per_part=10_000, every_s=1.0)


def test_every_file_a_selection_names_is_meant_from_one_folder() -> None:
    spec = SelectionSpec(
        exclude=("wet.txt",),
        labelled=Labelled(frames=("a.txt",)),
        objectives=(Score(), Similarity(frames=("b.csv", "/c.csv"))),
        constraints=(Cap(), Guard(frames=("d.parquet",), sessions=("s",), least=1.0)),
    )
    resolved = resolve_files(spec, Path("/fleet"))
    assert resolved.exclude == ("/fleet/wet.txt",)
    assert resolved.labelled.frames == ("/fleet/a.txt",)
    assert resolved.objectives == (Score(), Similarity(frames=("/fleet/b.csv", "/c.csv")))
    assert resolved.constraints == (Cap(), Guard(frames=("/fleet/d.parquet",), sessions=("s",), least=1.0))


def test_the_schema_accepts_what_the_code_accepts() -> None:
    validator = jsonschema.Draft202012Validator(json_schema(FleetSpec))
    assert not list(validator.iter_errors(yaml.safe_load(example_fleet())))
    assert list(validator.iter_errors(yaml.safe_load(GOOD + "workers: {cont: 2}")))
