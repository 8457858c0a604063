"""The command line as a person or a script meets it: real processes, exit codes, one clear line, forms to parse."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from typer.core import TyperGroup

from fleetsift.cli import app
from fleetsift.cli.examples import EXAMPLES
from fleetsift.store.folder import open_folder
from tests.store.conftest import ENGINE, make_refs
from tests.store.test_views import fill

FLEETSIFT = [sys.executable, "-m", "fleetsift"]


def fleetsift(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a verb in a process of its own."""
    return subprocess.run([*FLEETSIFT, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "scores"
    fill(path, make_refs(range(12)))
    return path


def refused(*arguments: str | Path) -> str:
    done = fleetsift(*arguments)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.startswith("fleetsift: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_help_names_every_verb() -> None:
    done = fleetsift("--help")
    assert done.returncode == 0
    operating = ("status", "dead-letters", "compact")
    for verb in ("init", "schema", "publish", "run", "sql", "select", "report", "check", "heatmap", "demo", *operating):
        assert f" {verb} " in done.stdout


def test_every_verb_has_examples_that_parse() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    assert group.commands.keys() == EXAMPLES.keys()
    for name, examples in EXAMPLES.items():
        for example in examples:
            program, verb, *arguments = shlex.split(example.split(" > ")[0])
            assert (program, verb) == ("fleetsift", name)
            assert len(example) < 80
            with group.commands[name].make_context(name, arguments):
                pass
    assert set(EXAMPLES["select"]) <= {line.strip() for line in fleetsift("select", "--help").stdout.splitlines()}


@pytest.mark.parametrize("arguments", [["sql"], ["nothing"], ["sql", "a", "b", "--format", "xml"], ["run", "--fast"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert fleetsift(*arguments).returncode == 2


def test_init_writes_what_run_reads_and_editors_complete(tmp_path: Path) -> None:
    assert fleetsift("init", tmp_path / "here").returncode == 0
    written = yaml.safe_load((tmp_path / "here" / "fleet.yaml").read_text())
    schema = json.loads((tmp_path / "here" / "fleet.schema.json").read_text())
    jsonschema.validate(written, schema)
    assert "is there already" in refused("init", tmp_path / "here")


@pytest.mark.parametrize("of", ["fleet", "ensemble", "selection", "message"])
def test_schemas_are_printed(of: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(fleetsift("schema", of).stdout))


def test_a_bad_configuration_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    assert "`fleetsift init` writes one to start from" in refused("run", path)
    path.write_text("kafka: {brokers: [localhost:9092], topic: frames}\nframe: {}\n")
    assert "frame: unknown field; did you mean frames?" in refused("run", path)


def test_answers_come_in_three_forms(store: Path) -> None:
    query = 'SELECT frame_id, "offset", captured_at, regions, area FROM frames ORDER BY "offset" LIMIT 3'
    table = fleetsift("sql", store, query)
    assert "f-0-0" in table.stdout
    rows = [json.loads(line) for line in fleetsift("sql", store, query, "--format", "json").stdout.splitlines()]
    assert [row["frame_id"] for row in rows] == ["f-0-0", "f-0-1", "f-0-3"]
    assert set(rows[0]["area"]) == set(ENGINE.classes)
    [header, *cells] = csv.reader(fleetsift("sql", store, query, "--format", "csv").stdout.splitlines())
    assert header == ["frame_id", "offset", "captured_at", "regions", "area"]
    assert json.loads(cells[0][4]) == rows[0]["area"]


def test_a_store_in_a_bucket_answers_alike(store: Path, bucket: str) -> None:
    here, there = open_folder(store), open_folder(bucket)
    for name in here.names():
        there.overwrite(name, here.read(name))
    query = "SELECT frame_id, entropy.mean FROM frames ORDER BY 1"
    answer = fleetsift("sql", bucket, query, "--format", "csv").stdout
    assert answer == fleetsift("sql", store, query, "--format", "csv").stdout


def test_sums_of_integers_are_numbers(store: Path) -> None:
    answer = fleetsift("sql", store, 'SELECT sum("offset") AS n FROM rows', "--format", "json").stdout
    assert json.loads(answer) == {"n": 66}


@pytest.mark.parametrize(
    "query", ["SELECT nothing FROM frames", "DROP VIEW frames", "SELECT frame_id::INT FROM frames"]
)
@pytest.mark.parametrize("style", ["table", "json"])
def test_a_query_that_fails_is_one_line(store: Path, query: str, style: str) -> None:
    assert "query: " in refused("sql", store, query, "--format", style)


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("SELEC frame_id", 'query: Parser Error: syntax error at or near "SELEC"\n'),
        ("SELECT entropy.men FROM frames", "; `DESCRIBE frames` lists the columns\n"),
    ],
)
def test_a_query_that_is_wrong_hears_where_or_what_there_is(store: Path, query: str, line: str) -> None:
    assert refused("sql", store, query).endswith(line)
    assert "mutual_information" in fleetsift("sql", store, "DESCRIBE frames", "--format", "csv").stdout


def test_a_fleet_file_is_no_ensemble_and_a_folder_no_batch(fleet: Path, tmp_path: Path) -> None:
    assert "kafka: unknown field; remove it, there are boxes, classes" in refused("check", fleet)
    assert "expected a batch, got No such file or directory" in refused("report", fleet, tmp_path)


def test_a_reader_that_has_had_enough_is_no_error(store: Path) -> None:
    query = "SELECT range AS n FROM range(300000)"
    command = [*FLEETSIFT, "sql", str(store), query, "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline()) == {"n": 0}
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.fixture
def fleet(store: Path, tmp_path: Path) -> Path:
    """A configuration over the store, with a cap of three frames a session."""
    path = tmp_path / "fleet.yaml"
    path.write_text(
        f"kafka: {{brokers: ['localhost:9092'], topic: frames}}\nframes: {{roots: [.]}}\nensemble: e.yaml\n"
        f"store: {{path: {store}}}\nselection: {{constraints: [{{kind: cap, key: session_id, most: 3}}]}}\n"
    )
    return path


def test_a_batch_is_summed_up_for_machines(fleet: Path, tmp_path: Path) -> None:
    done = fleetsift("select", fleet, "--out", tmp_path / "batch", "--budget", "9", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["picked"], summary["budget"], summary["pool"], summary["shortfall"]) == (5, 9, 11, 4)
    assert {path.name for path in (tmp_path / "batch").iterdir()} == {"batch.json", "batch.csv", "batch.parquet"}


def test_what_could_not_be_met_is_said(fleet: Path, tmp_path: Path) -> None:
    spec = tmp_path / "quota.yaml"
    spec.write_text("budget: 3\nconstraints: [{kind: quota, key: session_id, value: s-9, least: 2}]\n")
    done = fleetsift("select", fleet, "--out", tmp_path / "batch", "--spec", spec)
    assert "quota session_id = s-9 lacks 2" in done.stdout, done


def test_a_strategy_goes_by_its_name(fleet: Path, tmp_path: Path) -> None:
    done = fleetsift("select", fleet, "--out", tmp_path / "batch", "--budget", "4", "--strategy", "entropy", "--json")
    assert json.loads(done.stdout)["picked"] == 4, done.stderr
    refusal = refused("select", fleet, "--out", tmp_path / "batch", "--strategy", "magic")
    assert "magic" in refusal
    assert "coreset" in refusal


def test_why_says_what_kept_a_frame_out_and_what_admits_it(fleet: Path) -> None:
    for line, frame_id in (("picked, as number", "f-0-0"), ("kept out by cap session_id", "f-0-5")):
        assert line in fleetsift("why", fleet, frame_id, "--budget", "9").stdout
    answer = json.loads(fleetsift("why", fleet, "f-0-5", "--budget", "9", "--json").stdout)
    assert answer["kept_out_by"] == ["cap session_id"]
    assert answer["changes"]
    assert "nothing" in refused("why", fleet, "nothing")
