"""Fault 33: whatever text a selection brings is one harmless expression over a frame's columns, or it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsift.errors import SelectionError
from fleetsift.selectors.pools.expressions import check_expression
from tests.selectors.frames_in_duckdb import FramesInDuckDB, frame

STORE = FramesInDuckDB([frame("f-1", city="Lisbon"), frame("f-2", city=None)])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mutual_information.top", "float"),
        ("mutual_information.top * 2 + entropy.mean", "float"),
        ("greatest(entropy.mean, 0)", "float"),
        ("area.car / (area.car + area.road)", "float"),
        ("metadata.city = 'Lisbon'", "boolean"),
        ("metadata.city IN ('Lisbon', 'Oslo') AND NOT camera LIKE 'rear%' OR camera IS NULL", "boolean"),
        ("CASE WHEN entropy.mean BETWEEN 0 AND 1 THEN 1 ELSE 0 END", "integer"),
        ("captured_at >= TIMESTAMPTZ '2026-01-01 00:00:00+00' - INTERVAL 7 DAY", "boolean"),
        ("date_trunc('day', captured_at)", "timestamp with time zone"),
        ("round((metadata.lat)::DOUBLE, 2)", "double"),
        ("list_max(regions.entropy)", "float"),
        ("list_sum(list_transform(embedding, lambda x: x * x))", "double"),
        ("coalesce(extra ->> 'speed', 'none')", "varchar"),
        ("concat(session_id, camera)", "varchar"),
        ("entropy.mean -- the mean", "float"),
        ("entropy.mean /* the mean */", "float"),
        ("mutual_information.by_class", "struct"),
    ],
)
def test_what_an_analyst_types_is_taken(text: str, kind: str) -> None:
    assert check_expression(STORE, "selection.where", text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "1); COPY frames TO '/tmp/stolen'; --",
        "1\n); COPY frames TO '/tmp/stolen'; --",
        "true; ATTACH '/tmp/x.db'",
        "ATTACH '/tmp/x.db'",
        "1) FROM frames; DROP TABLE frames; SELECT (1",
        "1) FROM frames UNION SELECT (2",
        "1) FROM frames WHERE (false",
        "1) FROM frames, range(1000000000) AS t(",
        "1) FROM read_text('/etc/passwd') WHERE (true",
        "1), (2",
        "1) AS a, (2",
        "read_text('/etc/passwd')",
        "read_csv('/etc/passwd') IS NULL",
        "(SELECT content FROM read_text('/etc/passwd'))",
        "(SELECT max(entropy.mean) FROM frames) > 1",
        "EXISTS (FROM frames)",
        "frame_id IN (SELECT frame_id FROM rows)",
        "frame_id IN (FROM rows SELECT frame_id)",
        "getenv('AWS_SECRET_ACCESS_KEY')",
        "current_setting('temp_directory')",
        "getvariable('x')",
        "query('SELECT 1')",
        "write_log('x')",
        "random() > 0.5",
        "system.main.random() > 0.5",
        "uuid()",
        "captured_at > now() - INTERVAL 7 DAY",
        "captured_at::DATE = current_date",
        "captured_at::DATE = CURRENT_DATE",
        "ago(INTERVAL 7 DAY) < captured_at",
        "pg_sleep(10)",
        "sum(entropy.mean)",
        "max(entropy.mean)",
        "percent_rank() OVER (ORDER BY entropy.mean)",
        "sum(entropy.mean) OVER ()",
        "unnest(embedding)",
        "*",
        "COLUMNS('.*')",
        "area.*",
        "?",
        "$1",
        "entropy.mean > $4",
        "#1",
        "DEFAULT",
        "",
        "   ",
        "--",
        "/*",
        "'",
        "(",
        ")",
        "no_such_column",
        "no_such_function(entropy.mean)",
        "metadata.no_such_key = 1",
        "1" + " + 1" * 5000,
        "(" * 500,
        "[" * 900 + "]" * 900,
    ],
)
def test_what_is_more_than_that_is_refused(text: str) -> None:
    with pytest.raises(SelectionError, match=r"^selection.where: ") as refusal:
        check_expression(STORE, "selection.where", text)
    assert "\n" not in str(refusal.value)


PIECES = st.sampled_from(
    [
        *("1", "true", "entropy.mean", "frame_id", "(", ")", ",", ";", "'", '"', "--", "/*", "*/", "\n", "$$", "$1"),
        *(" FROM frames ", " SELECT ", " WHERE ", " UNION ", " OR ", " = ", " AS a", "read_text", "random", "COPY"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_text_that_is_taken_stays_inside_its_brackets(text: str) -> None:
    try:
        check_expression(STORE, "selection.where", text)
    except SelectionError:
        return
    rows = STORE.sql(
        f"SELECT 'before', TRY(({text}\n)), 'after' FROM frames"
    ).fetchall()  # such as `1 = frame_id` fails
    assert [(row[0], row[2]) for row in rows] == [("before", "after")] * 2
    assert all(len(row) == 3 for row in rows)


def test_a_refusal_says_where_what_and_how_to_go_on() -> None:
    with pytest.raises(SelectionError) as refusal:
        check_expression(STORE, "selection.where", "random() < 0.1")
    assert str(refusal.value) == (
        "selection.where: expected one SQL expression over the columns of a frame, got random(), which is no function "
        "of one frame alone in 'random() < 0.1'; write it with columns, operators and plain functions"
    )
